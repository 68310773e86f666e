# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures that the benchmarks show to the networks: of the demo's rendered stream."""

from pathlib import Path

import cv2
import numpy as np

from seg_node.sources.source import read_bag
from seg_node.types import Frame

DEMO = Path(__file__).resolve().parents[2] / "demo" / "tabletop"


def pictures(size: tuple[int, int], count: int) -> list[Frame]:
    """bgr frames of (height, width), spread over the stream, scaled from 480x640."""
    frames = [frame for _, frame in read_bag(DEMO)]
    chosen = [frames[i * len(frames) // count] for i in range(count)]
    return [Frame(np.asarray(cv2.resize(frame.pixels, size[::-1]), np.uint8), "bgr") for frame in chosen]
