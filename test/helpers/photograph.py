# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A made-up scene as a camera frame."""

import cv2
import numpy as np

from seg_node.types import Frame


def photograph(height: int, width: int) -> Frame:
    """A random scene with edges, colours and a gradient."""
    random = np.random.default_rng(height * width)
    image = random.integers(0, 256, (6, 8, 3), np.uint8)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(5):
        corner = random.integers(0, (width, height)).tolist()
        colour = random.integers(0, 256, 3).tolist()
        cv2.circle(image, corner, max(2, min(height, width) // 5), colour, -1)
    return Frame(image, "bgr")
