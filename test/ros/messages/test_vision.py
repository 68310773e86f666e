# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Standard messages, in vision_msgs: the real package if installed, else that of test/packages."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message

from seg_node.masks.label_images import class_map
from seg_node.ros.messages import vision
from seg_node.ros.messages.convert import to_header
from seg_node.spatial.lift import Object3D
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, Segmentation

FRAME = Frame(np.zeros((48, 64, 3), np.uint8), "bgr", 1_234_567_890_987_654_321, "left/optical")
LABELS = LabelSet(things={44: "bottle", 7: "cup"}, stuff={90: "table", 254: "wall", 255: "sky", 300: "sea"})
C, S = np.cos(0.2), np.sin(0.2)

needs_vision_msgs = pytest.mark.skipif(not vision.installed(), reason="vision_msgs is not installed")


def found_instances() -> Instances:
    return Instances(
        boxes_xyxy=np.array([[10.5, 20.25, 30.5, 28.25], [0, 0, 4, 2]], np.float32),
        scores=np.array([0.75, 0.5], np.float32),
        class_ids=np.array([44, 300], np.int32),
        masks=(MaskCrop(11, 21, np.ones((7, 19), np.bool_)), MaskCrop(0, 0, np.ones((2, 4), np.bool_))),
        ids=np.array([9, 4_000_000_000], np.uint32),
    )


def lifted(object_id: int, num_points: int = 250) -> Object3D:
    """A bottle turned by 0.2 rad about the x axis (from y towards z)."""
    return Object3D(
        id=object_id,
        class_id=44,
        score=0.75,
        centroid=np.array([0.1, 0.2, 0.95]),
        centre=np.array([0.1, 0.2, 1.0]),
        axes=np.array([[1.0, 0.0, 0.0], [0.0, C, -S], [0.0, S, C]]),
        size=np.array([0.06, 0.07, 0.21]),
        num_points=num_points,
        valid_ratio=0.8,
    )


@needs_vision_msgs
def test_detections_2d_go_over_the_wire_with_centre_size_name_and_id() -> None:
    sent = vision.detections_2d(FRAME, Segmentation((48, 64), found_instances()), LABELS)
    received = deserialize_message(serialize_message(sent), vision.Detection2DArray)
    assert received.header == to_header(FRAME)
    assert [detection.header for detection in received.detections] == [to_header(FRAME)] * 2
    bottle, sea = received.detections
    box = bottle.bbox
    assert (box.center.position.x, box.center.position.y, box.center.theta) == (20.5, 24.25, 0.0)
    assert (box.size_x, box.size_y) == (20.0, 8.0)
    (result,) = bottle.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ("bottle", 0.75)
    assert [detection.id for detection in (bottle, sea)] == ["9", "4000000000"]
    assert sea.results[0].hypothesis.class_id == "sea"


@needs_vision_msgs
def test_detections_3d_go_over_the_wire_with_the_oriented_box() -> None:
    sent = vision.detections_3d(FRAME, [lifted(9)], LABELS)
    received = deserialize_message(serialize_message(sent), vision.Detection3DArray)
    (detection,) = received.detections
    assert received.header == detection.header == to_header(FRAME)
    position, turn = detection.bbox.center.position, detection.bbox.center.orientation
    np.testing.assert_allclose([position.x, position.y, position.z], [0.1, 0.2, 1.0])
    np.testing.assert_allclose([turn.x, turn.y, turn.z, turn.w], [np.sin(0.1), 0, 0, np.cos(0.1)], atol=1e-12)
    size = detection.bbox.size
    assert (size.x, size.y, size.z) == (0.06, 0.07, 0.21)
    (result,) = detection.results
    assert (detection.id, result.hypothesis.class_id, result.hypothesis.score) == ("9", "bottle", 0.75)
    assert result.pose.pose == detection.bbox.center


@needs_vision_msgs
def test_an_object_without_depth_is_no_3d_detection() -> None:
    message = vision.detections_3d(FRAME, [lifted(1, num_points=0), lifted(2)], LABELS)
    assert [detection.id for detection in message.detections] == ["2"]


@needs_vision_msgs
def test_nothing_found_is_an_empty_array_with_the_images_header() -> None:
    flat = vision.detections_2d(FRAME, Segmentation((48, 64), Instances.empty()), LABELS)
    solid = vision.detections_3d(FRAME, [], LABELS)
    assert (flat.detections, flat.header) == ([], to_header(FRAME))
    assert (solid.detections, solid.header) == ([], to_header(FRAME))


@needs_vision_msgs
def test_label_info_names_every_value_that_class_map_can_have() -> None:
    sent = vision.label_info(LABELS, 0.5, Time(sec=3))
    received = deserialize_message(serialize_message(sent), vision.LabelInfo)
    names = {entry.class_id: entry.class_name for entry in received.class_map}
    assert names == {7: "cup", 44: "bottle", 90: "table", 254: "wall"}
    assert (received.threshold, received.header.stamp) == (0.5, Time(sec=3))
    shown = set(np.unique(class_map(found_instances(), None, (48, 64))).tolist())
    assert shown == {44, 255}  # class 300 cannot be shown
    assert shown - {255} <= names.keys()


def test_seg_node_runs_without_vision_msgs() -> None:
    code = (
        "import sys; sys.modules['vision_msgs'] = None\n"  # as if it were not installed
        "from seg_node.ros.messages import vision; print(vision.installed())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
