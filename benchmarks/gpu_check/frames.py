# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Images to run on: smooth noise, for networks of random weights."""

import cv2
import numpy as np

from seg_node.types import Frame


def noise_frames(count: int, size: tuple[int, int]) -> list[Frame]:
    """bgr, of (height, width), the same at every call."""
    frames = []
    for seed in range(count):
        noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
        frames.append(Frame(np.asarray(cv2.resize(noise, size[::-1]), np.uint8), "bgr"))
    return frames
