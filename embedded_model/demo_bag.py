# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Writes a camera's stream as a ROS 2 bag (mcap) without ROS: colour, depth, calibration and pose.

The topics are those of a depth camera's driver with image_transport: JPEG as `compressed`, and depth aligned
to colour as `compressedDepth` (16 bit PNG behind the 12 bytes of its header, millimetres, 0: not measured).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from render_scene import FloatArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

FRAME, WORLD = "camera_color_optical_frame", "world"
COLOUR, DEPTH = "/camera/color", "/camera/aligned_depth_to_color"
# Farther away a depth camera of this kind measures nothing.
FARTHEST_M = 2.0
STORE = get_typestore(Stores.ROS2_JAZZY)


def message(name: str, *values: object) -> object:
    """A message by its type's name and the values of its fields in order."""
    package, kind = name.split("/")
    return STORE.types[f"{package}/msg/{kind}"](*values)


@dataclass(frozen=True)
class Calibration:
    """A pinhole camera without distortion: size (height, width), focal length and centre in pixels.

    The centre of the first pixel is (0, 0), as in ROS and OpenCV.
    """

    size: tuple[int, int]
    focal: float

    @classmethod
    def of(cls, size: tuple[int, int], fovy: float) -> Calibration:
        """fovy: vertical field of view in degrees."""
        return cls(size, size[0] / 2 / np.tan(np.radians(fovy) / 2))

    @property
    def k(self) -> FloatArray:
        height, width = self.size
        return np.array(
            [[self.focal, 0, (width - 1) / 2], [0, self.focal, (height - 1) / 2], [0, 0, 1]], float
        )


class BagWriter:
    """`add` writes all messages of one frame with the same stamp; the bag must not exist yet."""

    def __init__(self, folder: Path, calibration: Calibration) -> None:
        self._calibration = calibration
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        kinds = {
            f"{COLOUR}/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
            f"{COLOUR}/camera_info": "sensor_msgs/msg/CameraInfo",
            f"{DEPTH}/image_raw/compressedDepth": "sensor_msgs/msg/CompressedImage",
            f"{DEPTH}/camera_info": "sensor_msgs/msg/CameraInfo",
            "/tf": "tf2_msgs/msg/TFMessage",
        }
        self._connections = {
            topic: self._writer.add_connection(topic, kind, typestore=STORE) for topic, kind in kinds.items()
        }

    def close(self) -> None:
        self._writer.close()

    def add(self, stamp_ns: int, jpeg: bytes, depth_m: NDArray[np.float32], pose: FloatArray) -> None:
        """pose: (4, 4) from the optical frame to the world."""
        time = message("builtin_interfaces/Time", stamp_ns // 10**9, stamp_ns % 10**9)
        header = message("std_msgs/Header", time, FRAME)
        colour = _compressed(header, "rgb8; jpeg compressed bgr8", jpeg)
        depth = _compressed(header, "16UC1; compressedDepth png", bytes(12) + depth_png(depth_m))
        info = self._camera_info(header)
        self._write(f"{COLOUR}/camera_info", stamp_ns, info)
        self._write(f"{DEPTH}/camera_info", stamp_ns, info)
        self._write("/tf", stamp_ns, _transform(time, pose))
        self._write(f"{COLOUR}/image_raw/compressed", stamp_ns, colour)
        self._write(f"{DEPTH}/image_raw/compressedDepth", stamp_ns, depth)

    def _write(self, topic: str, stamp_ns: int, content: object) -> None:
        connection = self._connections[topic]
        self._writer.write(connection, stamp_ns, STORE.serialize_cdr(content, connection.msgtype))

    def _camera_info(self, header: object) -> object:
        (height, width), k = self._calibration.size, self._calibration.k
        roi = message("sensor_msgs/RegionOfInterest", 0, 0, 0, 0, False)
        projection = np.hstack([k, np.zeros((3, 1))])
        numbers = (np.zeros(5), k.ravel(), np.eye(3).ravel(), projection.ravel())
        return message("sensor_msgs/CameraInfo", header, height, width, "plumb_bob", *numbers, 0, 0, roi)


def depth_png(depth_m: NDArray[np.float32]) -> bytes:
    """16 bit PNG in millimetres, 0 where it is farther than FARTHEST_M."""
    millimetres = np.round(np.where(depth_m > FARTHEST_M, 0, depth_m) * 1000).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(millimetres).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def quaternion(rotation: FloatArray) -> FloatArray:
    """(x, y, z, w) of a rotation matrix."""
    wxyz = np.zeros(4)
    mujoco.mju_mat2Quat(wxyz, np.ascontiguousarray(rotation, float).ravel())
    return wxyz[[1, 2, 3, 0]]


def _compressed(header: object, encoding: str, data: bytes) -> object:
    return message("sensor_msgs/CompressedImage", header, encoding, np.frombuffer(data, np.uint8))


def _transform(time: object, pose: FloatArray) -> object:
    place = message("geometry_msgs/Vector3", *map(float, pose[:3, 3]))
    turn = message("geometry_msgs/Quaternion", *map(float, quaternion(pose[:3, :3])))
    header = message("std_msgs/Header", time, WORLD)
    transform = message("geometry_msgs/Transform", place, turn)
    return message(
        "tf2_msgs/TFMessage", [message("geometry_msgs/TransformStamped", header, FRAME, transform)]
    )
