# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Depth through the real node: objects in metres with the image's stamp, and every fault counted."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from depth_camera import DISTANCE_MM, TOPICS, calibration, depth_message, wall
from diagnostic_msgs.msg import DiagnosticArray
from faulty_node_control import faulty_node
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
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
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from seg_node.msg import InstanceMaskArray, Object3DArray


def test_objects_lie_on_the_wall_that_the_depth_image_shows(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, with_depth):
        heard = probe.listen(Object3DArray, f"{NODE}/objects")
        instances = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        clouds = probe.listen(PointCloud2, f"{NODE}/cloud")
        markers = probe.listen(MarkerArray, f"{NODE}/markers")
        colour, depth = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        probe.publisher(CameraInfo, TOPICS[2]).publish(calibration(1000))
        depth.publish(depth_message(wall(), 1004))  # within the slop of 10 ms
        message = send_and_wait(probe, image_message(picture(), 1000), heard, colour)
        wait_until(lambda: bool(clouds and markers and instances), 20, "the other outputs")
    assert message.header.frame_id == FRAME_ID
    masks = {mask.id: mask for mask in instances[0].instances}
    located = [found for found in message.objects if found.num_points]
    assert {found.id for found in message.objects} == set(masks)
    assert located
    for found in located:
        assert found.centroid.z == pytest.approx(DISTANCE_MM / 1000, abs=1e-3)
        mask = masks[found.id]
        column = found.centroid.x / found.centroid.z * 200 + 79.5
        assert mask.roi.x_offset <= column <= mask.roi.x_offset + mask.roi.width
    assert clouds[0].header == message.header
    assert 0 < clouds[0].width <= sum(found.num_points for found in located)
    assert len(markers[0].markers) == 1 + 2 * len(located)
    assert all(marker.header.frame_id == FRAME_ID for marker in markers[0].markers[1:])


def test_every_depth_fault_is_counted_and_masks_continue(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, with_depth) as node:
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        objects = probe.listen(Object3DArray, f"{NODE}/objects")
        instances = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        colour, depth = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        info = probe.publisher(CameraInfo, TOPICS[2])

        def send(stamp: int, millimetres: NDArray[np.uint16], depth_stamp: int) -> None:
            depth.publish(depth_message(millimetres, depth_stamp))
            send_and_wait(probe, image_message(picture(), stamp), instances, colour)

        send(1000, wall(), 1000)
        wait_until(lambda: count(reports, "warned.no_camera_info") == 1, 10, "the missing CameraInfo")
        info.publish(calibration(1000, focal=0.0))
        send(2000, wall(), 2000)
        wait_until(lambda: count(reports, "warned.uncalibrated") == 1, 10, "K[0] = 0")
        info.publish(calibration(1000))
        send(3000, wall(60, 80), 3000)
        wait_until(lambda: count(reports, "warned.depth_size") == 1, 10, "depth of another size")
        send(4000, wall(), 4100)
        wait_until(lambda: count(reports, "warned.no_depth") == 1, 10, "a far stamp")
        assert any(r.status[0].level == b"\x01" and "no_depth 1" in r.status[0].message for r in reports)
        assert not objects
        send(5000, wall(), 5000)
        wait_until(lambda: bool(objects), 20, "objects, after all that")
        assert stamp_ms(objects[0].header) == 5000
        assert [stamp_ms(m.header) for m in instances] == [1000, 2000, 3000, 4000, 5000]
        assert "80x60" in node.log and "160x120" in node.log


def test_objects_are_located_with_the_calibration_of_their_image(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, with_depth) as (_, switch):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        objects = probe.listen(Object3DArray, f"{NODE}/objects")
        colour, depth = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        info = probe.publisher(CameraInfo, TOPICS[2])
        switch.set("hang")
        for stamp, focal in ((1000, 200.0), (2000, 400.0)):  # the lens zooms while the model works
            info.publish(calibration(stamp, focal))
            depth.publish(depth_message(wall(), stamp))
            colour.publish(image_message(picture(), stamp))
            wait_until(lambda: count(reports, "received") == stamp // 1000, 20, "the image")  # noqa: B023
        switch.set("")
        wait_until(lambda: len(objects) == 2, 20, "objects of both images")
    assert [stamp_ms(message.header) for message in objects] == [1000, 2000]
    located = [[found for found in message.objects if found.num_points] for message in objects]
    assert located[0]
    for first, second in zip(*located, strict=True):
        assert second.centroid.x == pytest.approx(first.centroid.x / 2, abs=1e-4)
        assert second.centroid.z == pytest.approx(first.centroid.z, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"p": [0.0] * 5 + [1.0] * 7}, "bad_projection"),
        ({"p": [float("nan")] * 12}, "bad_projection"),
        ({"height": 0, "width": 0}, "camera_info_no_size"),
    ],
)
def test_a_repairable_calibration_is_counted_and_gives_objects(
    change: dict[str, Any], reason: str, with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, with_depth):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        objects = probe.listen(Object3DArray, f"{NODE}/objects")
        colour, depth = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        info = calibration(1000)
        for field, value in change.items():
            setattr(info, field, value)
        probe.publisher(CameraInfo, TOPICS[2]).publish(info)
        depth.publish(depth_message(wall(), 1000))
        message = send_and_wait(probe, image_message(picture(), 1000), objects, colour)
        wait_until(lambda: count(reports, f"warned.{reason}") == 1, 10, reason)
    located = [found for found in message.objects if found.num_points]
    assert located
    assert all(found.centroid.z == pytest.approx(DISTANCE_MM / 1000, abs=1e-3) for found in located)


def test_an_image_that_waits_for_depth_when_the_camera_stops_is_not_lost(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, with_depth):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        colour, _ = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        send_and_wait(probe, image_message(picture(), 1000), heard, colour)


def test_the_image_that_waits_for_depth_when_the_node_is_deactivated_is_counted(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, with_depth):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        colour, _ = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        colour.publish(image_message(picture(), 1000))
        colour.publish(image_message(picture(), 1100))  # sends the first one on, and waits itself
        wait_until(lambda: bool(heard), 20, "masks without depth")
        request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
        assert probe.call(ChangeState, f"{NODE}/change_state", request)[0].success
        wait_until(
            lambda: count(reports, "processed") + count(reports, "dropped") == 2, 10, "the count of both"
        )
        assert count(reports, "received") == 2


@pytest.mark.usefixtures("tf2")
def test_objects_follow_their_masks_when_tf_arrives_and_missing_tf_is_counted(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    from tf2_msgs.msg import TFMessage

    with running_node(tmp_path, {**with_depth, "target_frame": "base"}):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        objects = probe.listen(Object3DArray, f"{NODE}/objects")
        instances = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        colour, depth = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        tf = probe.publisher(TFMessage, "/tf")
        probe.publisher(CameraInfo, TOPICS[2]).publish(calibration(1000))

        def send_image(stamp: int) -> None:
            depth.publish(depth_message(wall(), stamp))
            send_and_wait(probe, image_message(picture(), stamp), instances, colour)

        def send_tf(*stamps: int) -> None:
            for stamp in stamps:
                moved = TransformStamped(child_frame_id=FRAME_ID)
                moved.header.frame_id = "base"
                moved.header.stamp = image_message(picture(), stamp).header.stamp
                moved.transform.translation.z = stamp / 1000
                tf.publish(TFMessage(transforms=[moved]))

        def is_there(stamp: int) -> bool:
            return any(stamp_ms(message.header) == stamp for message in objects)

        def all_known() -> bool:
            return len(objects) + count(reports, "warned.no_transform") == len(instances)

        send_image(100_000)
        wait_until(lambda: count(reports, "warned.no_transform") == 1, 10, "the transform that is missing")
        assert not objects
        for stamp in range(101_000, 121_000, 1_000):  # on a busy machine a transform may come too late
            send_tf(stamp - 50)
            send_image(stamp)  # the masks are there
            send_tf(stamp + 50)
            wait_until(all_known, 10, "the objects after their masks, or a count")
            if objects:
                break
        assert objects
        colour.publish(image_message(picture(), 2_000))  # a bag starts again
        wait_until(lambda: count(reports, "received") > len(instances), 10, "the image that jumps back")
        send_tf(*range(2_000, 3_100, 50))
        send_image(2_500)
        wait_until(lambda: is_there(2_500), 10, "objects of the second round")
    for message in objects:
        assert message.header.frame_id == "base"
        place = stamp_ms(message.header) / 1000 + DISTANCE_MM / 1000
        located = [found for found in message.objects if found.num_points]
        assert located
        assert all(found.centroid.z == pytest.approx(place, abs=1e-3) for found in located)


def test_a_depth_camera_that_stops_does_not_stop_the_masks(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, with_depth):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        colour = probe.publisher(Image, TOPICS[0])
        send_and_wait(probe, image_message(picture(), 1000), heard, colour)  # nobody sends depth: no waiting
        silent = probe.publisher(Image, TOPICS[1])
        colour.publish(image_message(picture(), 2000))
        colour.publish(image_message(picture(), 2100))  # the one before goes on without depth
        wait_until(lambda: len(heard) > 1, 20, "masks without depth")
        assert stamp_ms(heard[1].header) == 2000
        probe.node.destroy_publisher(silent)


def test_a_target_frame_without_tf2_is_refused_with_the_cure(
    with_depth: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tf2_ros.py").write_text("raise ImportError('as where it is not installed')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ['PYTHONPATH']}")
    with (
        pytest.raises(AssertionError, match="tf2_ros"),
        running_node(tmp_path, {**with_depth, "target_frame": "base_link"}),
    ):
        pass


def test_a_subscriber_to_objects_while_depth_is_off_is_warned_once(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights) as node:
        assert "depth is off" not in node.log
        probe.listen(Object3DArray, f"{NODE}/objects")
        node.wait_for_log("depth is off: set depth.enabled to true", 20)
        assert node.log.count("depth is off") == 1
