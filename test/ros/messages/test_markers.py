# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The markers for RViz, against geometry known in closed form."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from rclpy.serialization import deserialize_message, serialize_message
from visualization_msgs.msg import Marker, MarkerArray

from seg_node.drawing.draw import draw_segmentation
from seg_node.ros.messages.convert import to_header
from seg_node.ros.messages.markers import to_markers
from seg_node.spatial.lift import Object3D
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, Segmentation

FRAME = Frame(np.zeros((6, 9, 3), np.uint8), "bgr", 1_234_567_890_987_654_321, "left/optical")
LABELS = LabelSet({5: "cup"})
C, S = np.cos(0.3), np.sin(0.3)


def box(
    object_id: int = 4, size: tuple[float, float, float] = (0.08, 0.06, 0.10), **changes: object
) -> Object3D:
    """A cup turned by 0.3 rad about the optical axis (from x towards y)."""
    values: dict[str, object] = {
        "id": object_id,
        "class_id": 5,
        "score": 0.93,
        "centroid": np.array([0.1, -0.2, 0.69]),
        "centre": np.array([0.1, -0.2, 0.7]),
        "axes": np.array([[C, -S, 0.0], [S, C, 0.0], [0.0, 0.0, 1.0]]),
        "size": np.array(size),
        "num_points": 300,
        "valid_ratio": 0.9,
    }
    return Object3D(**{**values, **changes})


def test_an_object_is_a_box_and_a_name_above_it() -> None:
    sent = to_markers(FRAME, [box()], LABELS)
    received = deserialize_message(serialize_message(sent), MarkerArray)
    _, cube, name = received.markers
    assert (cube.ns, cube.id, cube.type, cube.action) == ("boxes", 4, Marker.CUBE, Marker.ADD)
    position, turn, scale = cube.pose.position, cube.pose.orientation, cube.scale
    np.testing.assert_allclose([position.x, position.y, position.z], [0.1, -0.2, 0.7])
    np.testing.assert_allclose(
        [turn.x, turn.y, turn.z, turn.w], [0, 0, np.sin(0.15), np.cos(0.15)], atol=1e-12
    )
    assert (scale.x, scale.y, scale.z) == (0.08, 0.06, 0.10)
    assert (name.ns, name.id, name.type) == ("names", 4, Marker.TEXT_VIEW_FACING)
    assert name.text == "cup 0.93 #4"
    top = -0.2 - (0.08 * S + 0.06 * C) / 2  # the highest corner in the image
    assert (name.pose.position.x, name.pose.position.z) == (0.1, 0.7)
    assert name.pose.position.y < top - name.scale.z / 2  # the text's middle


def test_in_a_robots_frame_the_name_is_where_z_grows() -> None:
    *_, name = to_markers(FRAME, [box()], LABELS, z_up=True).markers
    assert (name.pose.position.x, name.pose.position.y) == (0.1, -0.2)
    assert name.pose.position.z > 0.7 + 0.10 / 2 + name.scale.z / 2


def test_earlier_markers_are_deleted_first_and_in_every_namespace() -> None:
    first, *rest = to_markers(FRAME, [box(1), box(2)], LABELS).markers
    assert (first.action, first.ns) == (Marker.DELETEALL, "")
    assert [(marker.ns, marker.id) for marker in rest] == [
        ("boxes", 1),
        ("names", 1),
        ("boxes", 2),
        ("names", 2),
    ]


def test_an_empty_scene_deletes_what_was_drawn() -> None:
    (only,) = to_markers(FRAME, [], LABELS).markers
    assert only.action == Marker.DELETEALL


def test_every_marker_has_the_images_header_and_a_lifetime() -> None:
    for marker in to_markers(FRAME, [box()], LABELS).markers:
        assert marker.header == to_header(FRAME)
        assert marker.action == Marker.DELETEALL or marker.lifetime.sec > 0


def test_an_object_without_depth_is_not_drawn() -> None:
    nowhere = box(size=(0.0, 0.0, 0.0), num_points=0, centre=np.full(3, np.nan))
    assert len(to_markers(FRAME, [nowhere, box(9)], LABELS).markers) == 3


def test_a_flat_object_has_some_thickness() -> None:
    _, cube, _ = to_markers(FRAME, [box(size=(0.2, 0.1, 0.0))], LABELS).markers
    assert (cube.scale.x, cube.scale.y) == (0.2, 0.1) and cube.scale.z > 0


@pytest.mark.parametrize("object_id", [1, 2, 4, 77])
def test_colours_are_those_of_the_debug_image(object_id: int) -> None:
    instances = Instances(
        np.array([[1, 1, 5, 5]], np.float32),
        np.array([0.9], np.float32),
        np.array([5], np.int32),
        (MaskCrop(1, 1, np.ones((4, 4), np.bool_)),),
        np.array([object_id], np.uint32),
    )
    picture = draw_segmentation(
        FRAME.pixels, Segmentation((6, 9), instances), LABELS, opacity=1.0, captions=False
    )
    for marker in to_markers(FRAME, [box(object_id)], LABELS).markers[1:]:
        colour = marker.color
        np.testing.assert_allclose(np.array([colour.b, colour.g, colour.r]) * 255, picture[3, 3], atol=0.01)
