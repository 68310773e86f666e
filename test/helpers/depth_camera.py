# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of a depth camera that looks straight at a wall."""

import numpy as np
from node_harness import image_message, picture
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

DISTANCE_MM = 800
TOPICS = ("/image", "/depth", "/camera_info")


def depth_message(millimetres: NDArray[np.uint16], stamp: int) -> Image:
    return image_message(millimetres, stamp, "16UC1")


def wall(height: int = 120, width: int = 160) -> NDArray[np.uint16]:
    """What a camera sees that looks straight at a wall."""
    return np.full((height, width), DISTANCE_MM, np.uint16)


def calibration(stamp: int, focal: float = 200.0) -> CameraInfo:
    info = CameraInfo(header=image_message(picture(), stamp).header, height=120, width=160)
    info.k = [focal, 0.0, 79.5, 0.0, focal, 59.5, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, 79.5, 0.0, 0.0, focal, 59.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info
