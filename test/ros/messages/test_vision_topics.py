# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The standard topics of the real node over DDS: vision_msgs if installed, markers always."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from builtin_interfaces.msg import Time
from depth_wall import HEIGHT, WIDTH, wall
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_harness import Probe, image_message, picture, running_node, send_and_wait, wait_until
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import Marker, MarkerArray

from seg_node.msg import InstanceMaskArray, Object3DArray
from seg_node.ros.messages import vision

needs_vision_msgs = pytest.mark.skipif(not vision.installed(), reason="vision_msgs is not installed")


def test_the_node_logs_once_that_vision_msgs_is_missing(
    weights: dict[str, Any], tmp_path: Path, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vision_msgs.py").write_text("raise ImportError('as where it is not installed')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ['PYTHONPATH']}")
    with running_node(tmp_path, weights) as node:
        received = probe.listen(InstanceMaskArray, "/seg_node/instances")
        camera = probe.publisher(Image, "/image")
        for stamp_ms in (1000, 2000):
            send_and_wait(probe, image_message(picture(), stamp_ms), received, camera)
        topics = {name for name, _ in probe.node.get_topic_names_and_types()}
    assert node.log.count("vision_msgs is not installed") == 1
    assert not topics & {"/seg_node/detections", "/seg_node/detections_3d", "/seg_node/label_info"}


@needs_vision_msgs
def test_detections_are_the_instances_boxes(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    with running_node(tmp_path, weights):
        instances = probe.listen(InstanceMaskArray, "/seg_node/instances")
        detections = probe.listen(vision.Detection2DArray, "/seg_node/detections")
        camera = probe.publisher(Image, "/image")
        sent = image_message(picture(), 1000)
        masks = send_and_wait(probe, sent, instances, camera).instances
        wait_until(lambda: bool(detections), 20, "detections")
    assert detections[0].header == sent.header and masks
    for mask, detection in zip(masks, detections[0].detections, strict=True):
        box, (result,) = detection.bbox, detection.results
        edges = np.array([mask.x_min, mask.y_min, mask.x_max, mask.y_max])
        centre, half = box.center.position, np.array([box.size_x, box.size_y]) / 2
        np.testing.assert_allclose(edges[:2], np.array([centre.x, centre.y]) - half, atol=1e-9)
        np.testing.assert_allclose(edges[2:], np.array([centre.x, centre.y]) + half, atol=1e-9)
        assert (detection.id, result.hypothesis.class_id) == (str(mask.id), mask.class_name)
        assert result.hypothesis.score == mask.score


@needs_vision_msgs
def test_label_info_reaches_late_subscribers(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    received: list[Any] = []
    with running_node(tmp_path, {**weights, "score_threshold": 0.25}):
        once = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        probe.node.create_subscription(vision.LabelInfo, "/seg_node/label_info", received.append, once)
        wait_until(lambda: bool(received), 20, "label_info")
    assert received[0].threshold == 0.25
    names = {entry.class_id: entry.class_name for entry in received[0].class_map}
    assert names and all(names.values()) and max(names) < 255


def test_markers_are_the_objects(with_depth: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    with running_node(tmp_path, with_depth):
        objects = probe.listen(Object3DArray, "/seg_node/objects")
        markers = probe.listen(MarkerArray, "/seg_node/markers")
        camera = probe.publisher(Image, "/image")
        sent = image_message(picture(HEIGHT, WIDTH), 1000)
        depth, camera_info = wall(sent)
        probe.publisher(CameraInfo, "/camera_info").publish(camera_info)
        probe.publisher(Image, "/depth").publish(depth)
        found = send_and_wait(probe, sent, objects, camera).objects
        wait_until(lambda: bool(markers), 20, "markers")
    clear, *drawn = markers[0].markers
    located = [one for one in found if one.num_points]
    assert clear.action == Marker.DELETEALL and located
    assert {(marker.ns, marker.id) for marker in drawn} == {
        (ns, one.id) for ns in ("boxes", "names") for one in located
    }
    for cube, one in zip([marker for marker in drawn if marker.ns == "boxes"], located, strict=True):
        assert cube.header == sent.header
        assert cube.pose == one.pose


@needs_vision_msgs
@pytest.mark.parametrize("is_active", [True, False])
def test_label_info_is_stamped_again_when_a_late_clock_starts(
    is_active: bool, weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    received: list[Any] = []
    once = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    parameters = {**weights, "use_sim_time": True, "autostart": is_active}
    with running_node(tmp_path, parameters, until="waiting"):
        if not is_active:
            request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
            assert probe.call(ChangeState, "/seg_node/change_state", request)[0].success
        probe.node.create_subscription(vision.LabelInfo, "/seg_node/label_info", received.append, once)
        wait_until(lambda: bool(received), 20, "label_info")
        assert received[-1].header.stamp == Time()
        clock = probe.publisher(Clock, "/clock")

        def stamped() -> bool:
            clock.publish(Clock(clock=Time(sec=7)))  # best effort: one may be lost
            return bool(received[-1].header.stamp.sec == 7)

        wait_until(stamped, 20, "the stamp")
