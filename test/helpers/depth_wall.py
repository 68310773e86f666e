# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A wall in front of a camera."""

import array

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

HEIGHT, WIDTH = 120, 160


def wall(image: Image) -> tuple[Image, CameraInfo]:
    """Depth of a wall at 1 m and the camera that sees it, with the image's header."""
    metres = np.ones((HEIGHT, WIDTH), np.float32)
    depth = Image(
        header=image.header,
        height=HEIGHT,
        width=WIDTH,
        encoding="32FC1",
        step=4 * WIDTH,
        data=array.array("B", metres.tobytes()),
    )
    k = [150.0, 0.0, 80.0, 0.0, 150.0, 60.0, 0.0, 0.0, 1.0]
    return depth, CameraInfo(header=image.header, height=HEIGHT, width=WIDTH, k=k)
