# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of a depth camera with calibration and TF, written here; needs rosbags."""

from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import Writer
from written_bags import PIXELS, STORE, Header, Image, Time

CameraInfo = STORE.types["sensor_msgs/msg/CameraInfo"]
TFMessage = STORE.types["tf2_msgs/msg/TFMessage"]
K = [500.0, 0, 3.0, 0, 501.0, 2.0, 0, 0, 1]
START_NS, PERIOD_NS = 100 * 10**9, 10**8


def header(stamp_ns: int, frame_id: str = "optical_frame") -> Any:
    return Header(Time(*divmod(stamp_ns, 10**9)), frame_id)


def calibration(stamp_ns: int) -> Any:
    roi = STORE.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    projection = np.hstack([np.reshape(K, (3, 3)), np.zeros((3, 1))]).ravel()
    matrices = (np.zeros(5), np.array(K), np.eye(3).ravel(), projection)
    return CameraInfo(header(stamp_ns), 4, 6, "plumb_bob", *matrices, 0, 0, roi)


def depth_at(stamp_ns: int, millimetres: int, frame_id: str = "optical_frame") -> Any:
    data = np.full(24, millimetres, np.uint16).view(np.uint8)
    return Image(header(stamp_ns, frame_id), 4, 6, "16UC1", 0, 12, data)


def colour_at(stamp_ns: int) -> Any:
    return Image(header(stamp_ns), 4, 6, "bgr8", 0, 18, PIXELS.reshape(-1))


def transform(stamp_ns: int, parent: str, child: str, x: float) -> Any:
    """A TFMessage with one transform."""
    types = {
        name: STORE.types[f"geometry_msgs/msg/{name}"] for name in ("Transform", "Vector3", "Quaternion")
    }
    pose = types["Transform"](types["Vector3"](x, 0.0, 0.0), types["Quaternion"](0.0, 0.0, 0.0, 1.0))
    stamped = STORE.types["geometry_msgs/msg/TransformStamped"]
    return TFMessage([stamped(header(stamp_ns, parent), child, pose)])


def write_messages(path: Path, messages: list[tuple[str, int, Any]]) -> Path:
    """Write (topic, time of recording in ns, message) tuples to a bag."""
    connections: dict[str, Any] = {}
    with Writer(path, version=9) as writer:
        for topic, recorded_ns, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], recorded_ns, STORE.serialize_cdr(message, kind))
    return path


def write_camera(path: Path, count: int, depth_later_ns: int = 0, recorded_later_ns: int = 0) -> Path:
    """Write a depth camera's bag; the i-th depth is 1000 + i mm, stamped and recorded after the image."""
    messages = []
    for index in range(count):
        stamp_ns = START_NS + index * PERIOD_NS
        depth_image = depth_at(stamp_ns + depth_later_ns, 1000 + index)
        messages += [
            ("/front/camera_info", stamp_ns, calibration(stamp_ns)),
            ("/front/image", stamp_ns, colour_at(stamp_ns)),
            ("/front/depth", stamp_ns + recorded_later_ns, depth_image),
        ]
    return write_messages(path, sorted(messages, key=lambda message: message[1]))
