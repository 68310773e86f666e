# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects over the wire: every field, the cloud's bytes and colours, objects that are not located."""

import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from rclpy.serialization import deserialize_message, serialize_message
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointCloud2, PointField

from seg_node.msg import Object3DArray
from seg_node.ros.messages.convert import to_header
from seg_node.ros.messages.objects import to_cloud, to_objects
from seg_node.spatial.lift import Object3D
from seg_node.types import Channels, Frame, LabelSet

PICTURE = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
FRAME = Frame(PICTURE, "rgb", 1_234_567_890_987_654_321, "left/optical")
LABELS = LabelSet({7: "cup"})
AXES = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
FOUND = Object3D(
    3,
    7,
    0.75,
    np.array([0.1, -0.2, 0.9]),
    np.array([0.12, -0.18, 0.95]),
    AXES,
    np.array([0.3, 0.2, 0.1]),
    2,
    0.5,
    np.array([[0.1, -0.2, 0.9], [0.0, 0.1, 1.0]], np.float32),
    np.array([[4, 1], [0, 3]], np.int32),
)
NOWHERE = np.full(3, np.nan)
LOST = Object3D(4, 9, 0.5, NOWHERE, NOWHERE, np.eye(3), np.zeros(3), 0, 0.125)


def test_an_object_goes_over_the_wire_with_all_its_fields() -> None:
    message = to_objects(FRAME, [FOUND], LABELS)
    received = deserialize_message(serialize_message(message), Object3DArray)
    assert received.header == to_header(FRAME)
    (found,) = received.objects
    assert (found.id, found.class_id, found.class_name, found.score) == (3, 7, "cup", 0.75)
    assert (found.num_points, found.valid_ratio) == (2, 0.5)
    assert (found.centroid.x, found.centroid.y, found.centroid.z) == (0.1, -0.2, 0.9)
    position, turned = found.pose.position, found.pose.orientation
    assert (position.x, position.y, position.z) == (0.12, -0.18, 0.95)
    axes = Rotation.from_quat([turned.x, turned.y, turned.z, turned.w]).as_matrix()
    np.testing.assert_allclose(axes, AXES, atol=1e-9)
    assert (found.size.x, found.size.y, found.size.z) == (0.3, 0.2, 0.1)


def test_an_object_that_is_not_located_is_published_with_nan() -> None:
    found, lost = to_objects(FRAME, [FOUND, LOST], LABELS).objects
    assert (found.id, lost.id, lost.class_name, lost.num_points, lost.valid_ratio) == (3, 4, "9", 0, 0.125)
    assert np.isnan([lost.centroid.x, lost.pose.position.z]).all()
    assert (lost.pose.orientation.w, lost.size.x) == (1.0, 0.0)


def read_cloud(message: PointCloud2) -> np.ndarray:
    """Read the cloud by the message's own field descriptions."""
    kinds = {PointField.FLOAT32: "<f4", PointField.UINT32: "<u4"}
    dtype = np.dtype(
        {
            "names": [field.name for field in message.fields],
            "formats": [kinds[field.datatype] for field in message.fields],
            "offsets": [field.offset for field in message.fields],
            "itemsize": message.point_step,
        }
    )
    return np.frombuffer(message.data, dtype)


def test_the_cloud_holds_each_objects_points_with_colour_and_id() -> None:
    other = replace(FOUND, id=8, points=FOUND.points[:1] + 1, pixels=FOUND.pixels[:1])
    message = deserialize_message(serialize_message(to_cloud(FRAME, [FOUND, LOST, other])), PointCloud2)
    assert message.header == to_header(FRAME)
    assert (message.height, message.width, message.row_step, len(message.data)) == (1, 3, 60, 60)
    cloud = read_cloud(message)
    points = np.stack([cloud["x"], cloud["y"], cloud["z"]], 1)
    np.testing.assert_array_equal(points, [*FOUND.points, *other.points])
    np.testing.assert_array_equal(cloud["instance_id"], [3, 3, 8])
    blue_green_red = cloud["rgb"].copy().view(np.uint8).reshape(-1, 4)[:, :3]
    np.testing.assert_array_equal(blue_green_red[:, ::-1], PICTURE[[1, 3, 1], [4, 0, 4]])


@pytest.mark.parametrize(
    ("channels", "pixel", "rgb"),
    [("bgr", [1, 2, 3], 0x030201), ("rgba", [1, 2, 3, 9], 0x010203), ("bgra", [1, 2, 3, 9], 0x030201)],
)
def test_colours_are_right_whatever_the_order(channels: Channels, pixel: list[int], rgb: int) -> None:
    frame = Frame(np.full((4, 5, len(pixel)), pixel, np.uint8), channels)
    assert read_cloud(to_cloud(frame, [FOUND]))["rgb"].view(np.uint32).tolist() == [rgb, rgb]


def test_a_grey_picture_gives_grey_points() -> None:
    frame = Frame(np.full((4, 5), 200, np.uint8), "mono")
    assert read_cloud(to_cloud(frame, [FOUND]))["rgb"].view(np.uint32).tolist() == [0xC8C8C8] * 2


def test_without_points_the_cloud_is_empty() -> None:
    message = to_cloud(FRAME, [LOST])
    assert (message.width, len(message.data), len(message.fields)) == (0, 0, 5)


def test_a_large_cloud_is_fast() -> None:
    rng = np.random.default_rng(0)
    points, pixels = rng.random((20_000, 3), np.float32), rng.integers(0, 4, (20_000, 2), np.int32)
    objects = [replace(FOUND, points=points, pixels=pixels)] * 10
    start = time.perf_counter()
    to_cloud(FRAME, objects)
    assert time.perf_counter() - start < 0.5  # 15 ms; element by element it would be seconds
