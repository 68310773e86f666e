# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""On a GPU a frame is published while the model works on the next; here a CPU is taken for one."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from depth_camera import TOPICS, calibration, depth_message, wall
from diagnostic_msgs.msg import DiagnosticArray
from faulty_node_control import ERROR, Switch, assert_balanced, change_state, faulty_node, level
from lifecycle_msgs.msg import Transition
from node_harness import (
    NODE,
    NodeProcess,
    Probe,
    count,
    image_message,
    picture,
    running_node,
    send_and_wait,
    stamp_ms,
    wait_until,
)
from sensor_msgs.msg import CameraInfo, Image

from seg_node.msg import InstanceMaskArray, Object3DArray
from seg_node.srv import Segment

GPU_LIKE_NODE = str(Path(__file__).resolve().parents[2] / "helpers/gpu_like_node.py")
SIZE = "120 160"  # of node_harness's picture


@contextmanager
def gpu_like_node(folder: Path, parameters: dict[str, Any]) -> Iterator[tuple[NodeProcess, Switch]]:
    switch = Switch(folder / "fault")
    with running_node(folder, parameters, entry=(GPU_LIKE_NODE, str(switch.file))) as node:
        yield node, switch


def stamps(heard: list[Any]) -> list[int]:
    return [stamp_ms(message.header) for message in heard]


def segmented(node: NodeProcess) -> int:
    """Count the model's calls since the node became active, without those of its first warm-up."""
    return node.log.partition("active, waiting for images")[2].count("segmented")


def test_the_model_works_on_the_next_frame_while_one_is_published_and_never_further(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, weights) as (node, switch):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        switch.set("publish_hang")
        camera.publish(image_message(picture(), 1000))
        wait_until(lambda: segmented(node) == 1, 20, "the first frame's result")
        camera.publish(image_message(picture(), 1100))
        wait_until(lambda: segmented(node) == 2, 20, "the second frame's result, beside the first one")
        for stamp in (1200, 1300, 1400):
            camera.publish(image_message(picture(), stamp))
        wait_until(lambda: count(reports, "dropped.replaced_by_newer") == 2, 20, "newer frames in the slot")
        assert segmented(node) == 2 and heard == [] and count(reports, "in_work") == 3
        switch.set("")
        wait_until(lambda: len(heard) == 3, 20, "the outputs")
        assert stamps(heard) == [1000, 1100, 1400]
        assert_balanced(reports)
        assert count(reports, "processed") == 3
        ids = [[mask.id for mask in message.instances] for message in heard]
        assert ids[0] == ids[1] == ids[2] != []


def test_on_a_cpu_a_frame_is_published_before_the_next_one_starts(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, weights) as (_, switch):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        switch.set("publish_hang")
        for number in range(4):
            camera.publish(image_message(picture(), 1000 + number))
            wait_until(lambda n=number: count(reports, "received") == n + 1, 20, "the image")
        wait_until(lambda: count(reports, "dropped.replaced_by_newer") == 2, 20, "newer frames in the slot")
        switch.set("")
        wait_until(lambda: len(heard) == 2, 20, "the outputs")
        assert stamps(heard) == [1000, 1003]
        assert_balanced(reports)


def test_requests_are_answered_while_a_frame_is_published(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, {**weights, "always_on": True}) as (node, switch):
        switch.set("publish_hang")
        probe.publisher(Image, "/image").publish(image_message(picture(), 1000))
        wait_until(lambda: segmented(node) == 1, 20, "the frame's result")
        answer, _ = probe.call(Segment, f"{NODE}/segment", Segment.Request(image=image_message(picture(), 1)))
        assert answer.success, answer.message


def test_deactivating_waits_for_the_frame_that_is_published_and_the_one_behind_it(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, weights) as (node, switch):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        switch.set("publish_hang")
        for number in (1, 2):
            camera.publish(image_message(picture(), 1000 * number))
            wait_until(lambda n=number: segmented(node) == n, 20, "a result")
        deactivated: list[bool] = []
        client = threading.Thread(
            target=lambda: deactivated.append(change_state(probe, Transition.TRANSITION_DEACTIVATE))
        )
        client.start()
        wait_until(lambda: probe.node.count_subscribers("/image") == 0, 20, "the end of the subscription")
        switch.set("")
        client.join(60)
        assert deactivated == [True]
        wait_until(lambda: len(heard) == 2, 20, "the outputs")
        assert stamps(heard) == [1000, 2000]
        wait_until(lambda: count(reports, "processed") == 2, 20, "the report of both")
        assert_balanced(reports)
        assert count(reports, "dropped") == 0


def test_publishing_that_is_stuck_is_an_error_and_is_replaced_through_the_lifecycle(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, {**weights, "stall_timeout": 0.5}) as (node, switch):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        switch.set("publish_hang")
        for number in (1, 2):
            camera.publish(image_message(picture(), 1000 * number))
            wait_until(lambda n=number: segmented(node) == n, 20, "a result")
        wait_until(lambda: "publishing a frame has taken" in level(reports)[1], 20, "the stall")
        assert level(reports)[0] == level(reports, -1)[0] == ERROR
        assert change_state(probe, Transition.TRANSITION_DEACTIVATE)
        assert change_state(probe, Transition.TRANSITION_CLEANUP)
        assert_balanced(reports)
        assert count(reports, "dropped.abandoned") == 2
        assert change_state(probe, Transition.TRANSITION_CONFIGURE)
        switch.set("")
        assert change_state(probe, Transition.TRANSITION_ACTIVATE)
        camera = probe.publisher(Image, "/image")
        send_and_wait(probe, image_message(picture(), 3000), heard, camera)
        wait_until(lambda: level(reports)[0] != ERROR, 20, "the recovery")
        assert_balanced(reports)
        assert stamps(heard) == [3000]


def test_publishing_that_is_stuck_does_not_keep_the_process(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, {**weights, "always_on": True}) as (node, switch):
        switch.set("publish_hang")
        probe.publisher(Image, "/image").publish(image_message(picture(), 1000))
        wait_until(lambda: segmented(node) == 1, 20, "the frame's result")
        assert node.stop() == 0, node.log


def test_publishing_that_always_fails_is_counted_as_the_frames_fault(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, weights) as (node, switch):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        switch.set("publish_raise")
        for number in range(5):
            camera.publish(image_message(picture(), 1000 + number))
            wait_until(lambda n=number: count(reports, "dropped.failed") == n + 1, 20, "the count")
        wait_until(lambda: level(reports)[0] == ERROR, 20, "the error")
        assert "last 5 frames were all dropped" in level(reports)[1]
        assert "KeyError: 'no such field'" in node.log
        switch.set("")
        send_and_wait(probe, image_message(picture(), 3000), heard, camera)
        wait_until(lambda: level(reports)[0] != ERROR, 20, "the recovery")
        assert_balanced(reports)


def test_objects_in_metres_are_published_beside_the_model_too(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, with_depth):
        heard = probe.listen(Object3DArray, f"{NODE}/objects")
        colour, depth = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        probe.publisher(CameraInfo, TOPICS[2]).publish(calibration(1000))
        for stamp in (1000, 2000, 3000):
            depth.publish(depth_message(wall(), stamp))
            message = send_and_wait(probe, image_message(picture(), stamp), heard, colour)
            assert any(found.num_points for found in message.objects)


# --- the warm-up ---


def test_the_model_warms_up_with_the_nodes_options_for_the_size_of_an_unwanted_image(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, weights) as (node, _):
        assert "warm-up 480 640 0.05" in node.log
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        for number in (1, 2):
            camera.publish(image_message(picture(), 1000 * number))
            wait_until(lambda n=number: count(reports, "dropped.no_subscriber") == n, 20, "the count")
        node.wait_for_log("warmed up for images of 160x120")
        assert node.log.count("warm-up") == 2 and f"warm-up {SIZE} 0.05" in node.log
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        stamps = itertools.count(3000, 100)

        def answered() -> bool:  # the node may see its subscriber later than that sees the node
            camera.publish(image_message(picture(), next(stamps)))
            return bool(heard)

        wait_until(answered, 30, "an output")
        for transition in (4, 2, 1, 3):  # deactivate, clean up, configure, activate
            assert change_state(probe, transition)
        assert node.log.count("warm-up") == 3 and node.log.count(f"warm-up {SIZE} 0.05") == 2
        assert_balanced(reports)


def test_a_wanted_image_is_not_kept_waiting_for_a_warm_up(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, weights) as (node, _):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        send_and_wait(probe, image_message(picture(), 1000), heard, probe.publisher(Image, "/image"))
        assert node.log.count("warm-up") == 1


def test_the_size_is_known_from_camera_info_and_the_region_is_cut_out(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with gpu_like_node(tmp_path, {**with_depth, "roi": [10, 20, 64, 48]}) as (node, _):
        probe.publisher(CameraInfo, TOPICS[2]).publish(calibration(1000))
        node.wait_for_log("warmed up for images of 160x120")
        assert "warm-up 48 64 0.05" in node.log


def test_a_cpu_warms_up_once_and_not_for_unwanted_images(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, weights) as (node, _):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        probe.publisher(Image, "/image").publish(image_message(picture(), 1000))
        wait_until(lambda: count(reports, "dropped.no_subscriber") == 1, 20, "the count")
        assert "warmed up" not in node.log
