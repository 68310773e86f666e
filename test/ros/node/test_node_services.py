# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The node's services, called while images stream in."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from diagnostic_msgs.msg import DiagnosticArray
from node_harness import (
    FRAME_ID,
    NODE,
    Probe,
    count,
    image_message,
    picture,
    running_node,
    send_and_wait,
    stamp_ms,
    wait_until,
)
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from seg_node.msg import InstanceMaskArray
from seg_node.srv import Segment


def test_segment_answers_during_the_stream_with_the_streams_results(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        camera = probe.publisher(Image, "/image")
        asked = image_message(picture(seed=9), 123_456)
        expected = send_and_wait(probe, asked, heard, camera)
        done = threading.Event()

        def stream() -> None:
            for stamp in range(200_000, 300_000):
                if done.wait(0.01):
                    return
                camera.publish(image_message(picture(), stamp))

        thread = threading.Thread(target=stream)
        thread.start()
        try:
            wait_until(lambda: len(heard) > 2, 20, "the stream's results")
            answers = [
                probe.call(Segment, f"{NODE}/segment", Segment.Request(image=asked))[0] for _ in range(3)
            ]
            before = len(heard)
            wait_until(lambda: len(heard) > before + 2, 20, "the stream going on")
        finally:
            done.set()
            thread.join()
    for answer in answers:
        assert answer.success, answer.message
        assert stamp_ms(answer.instances.header) == 123_456
        assert answer.instances.header.frame_id == FRAME_ID
        got, wanted = answer.instances.instances, expected.instances
        assert [o.class_id for o in got] == [o.class_id for o in wanted]
        assert [bytes(o.data) for o in got] == [bytes(o.data) for o in wanted]
        assert [o.id for o in got] == list(range(1, len(got) + 1))
        assert answer.panoptic.segment_map.height == 0  # was not asked for


def test_segment_returns_the_panoptic_map_on_request_and_explains_a_bad_image(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "autostart": True}):
        image = image_message(picture(), 5000)
        answer, _ = probe.call(Segment, f"{NODE}/segment", Segment.Request(image=image, panoptic=True))
        assert answer.success
        values = np.frombuffer(answer.panoptic.segment_map.data, np.uint16)
        assert set(values.tolist()) - {0} == {segment.id for segment in answer.panoptic.segments}
        image.encoding = "marvellous"
        answer, _ = probe.call(Segment, f"{NODE}/segment", Segment.Request(image=image))
        assert not answer.success
        assert "marvellous" in answer.message


def test_segment_is_refused_before_configuring(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    with running_node(tmp_path, {**weights, "autostart": False}, until="waiting to be configured"):
        request = Segment.Request(image=image_message(picture(), 5000))
        answer, _ = probe.call(Segment, f"{NODE}/segment", request)
        assert not answer.success and "not configured" in answer.message


def test_enable_pauses_the_model_and_counts_the_frames(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        assert probe.call(SetBool, f"{NODE}/enable", SetBool.Request(data=False))[0].success
        camera.publish(image_message(picture(), 1000))
        wait_until(lambda: count(reports, "dropped.disabled") == 1, 10, "the count")
        assert not heard
        assert probe.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True))[0].success
        send_and_wait(probe, image_message(picture(), 2000), heard, camera)


def test_ids_last_from_frame_to_frame_until_they_are_reset(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        camera = probe.publisher(Image, "/image")
        # the lowest-scored object becomes the only one: it must keep its id, which its place does not give
        first = send_and_wait(probe, image_message(picture(), 1000), heard, camera)
        kept = first.instances[-1]
        assert kept.id == len(first.instances) > 1
        assert probe.set_parameter("classes", [kept.class_name])[0].successful
        second = send_and_wait(probe, image_message(picture(), 1100), heard, camera)
        same = [o.id for o in second.instances if bytes(o.data) == bytes(kept.data)]
        assert same and same[0] in {o.id for o in first.instances}
        assert probe.call(Trigger, f"{NODE}/reset_tracks", Trigger.Request())[0].success
        third = send_and_wait(probe, image_message(picture(), 1200), heard, camera)
        assert not {o.id for o in third.instances} & {o.id for o in first.instances}


def test_only_the_region_of_interest_is_segmented(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        assert probe.set_parameter("roi", [40, 30, 80, 60])[0].successful
        message = send_and_wait(probe, image_message(picture(), 1000), heard, camera)
        assert (message.width, message.height) == (160, 120)
        assert message.instances
        for found in message.instances:
            assert 40 <= found.x_min <= found.x_max <= 120 and 30 <= found.y_min <= found.y_max <= 90
        assert probe.set_parameter("roi", [500, 0, 10, 10])[0].successful
        camera.publish(image_message(picture(), 2000))
        wait_until(lambda: count(reports, "dropped.roi_outside") == 1, 10, "the count of the refused frame")
        for wrong in ([0, 0, 10], [10, 10, 0, 50], [0, 0, 100, 0], [0, 0, -1, 5]):
            result, _ = probe.set_parameter("roi", wrong)
            assert not result.successful and "x, y, width, height" in result.reason
        assert probe.set_parameter("roi", [0, 0, 0, 0])[0].successful
        send_and_wait(probe, image_message(picture(), 3000), heard, camera)
