# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of a few small messages, written with rosbags."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed")
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
Image = STORE.types["sensor_msgs/msg/Image"]
CompressedImage = STORE.types["sensor_msgs/msg/CompressedImage"]
Header = STORE.types["std_msgs/msg/Header"]
Time = STORE.types["builtin_interfaces/msg/Time"]
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


def header(index: int) -> Any:
    return Header(Time(100 + index, 250), "optical_frame")


def image(index: int, pixels: np.ndarray = PIXELS, encoding: str = "bgr8") -> Any:
    data = pixels.view(np.uint8).reshape(-1)
    return Image(header(index), *pixels.shape[:2], encoding, 0, data.size // pixels.shape[0], data)


def compressed(index: int, format: str = "bgr8; png compressed bgr8") -> Any:
    return CompressedImage(header(index), format, cv2.imencode(".png", PIXELS)[1])


def depth(index: int) -> Any:
    return image(index, np.full((4, 6), 1000, np.uint16), "16UC1")


def write_bag(path: Path, topics: dict[str, list[Any]], storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """Every topic's messages, one each 100 ms."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        for topic, messages in topics.items():
            message_type = messages[0].__msgtype__ if messages else Image.__msgtype__
            connection = writer.add_connection(topic, message_type, typestore=STORE)
            for index, message in enumerate(messages):
                writer.write(connection, index * 10**8, STORE.serialize_cdr(message, message_type))
    return path
