# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CompressedImage → pixels (seg_node.images.decode)."""

from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np

from fuzz import files
from fuzz.target import Input, Target
from seg_node.images.decode import ImageError, decode_message

_FORMATS = (
    "jpeg", "png", "", "bgr8; jpeg compressed bgr8", "rgb8; png compressed ", "16UC1; png compressed ",
    "bayer_rggb8; png compressed", "bayer_grbg16; png compressed", "32FC1; png compressed ", "mono16; png",
    "bgr8; jpegxl", "h264", "32FC1; compressedDepth png", ";", "x" * 5000, "\n\x1b[31m", "bgr8;;;",
)  # fmt: skip


def make(random: Random) -> Input:
    return {"format": random.choice(_FORMATS), "data": files.broken(random)}


def message(fields: Input) -> Any:
    stamp = SimpleNamespace(sec=1, nanosec=2)
    header = SimpleNamespace(stamp=stamp, frame_id="camera")
    return SimpleNamespace(header=header, format=fields["format"], data=fields["data"])


def run(fields: Input, folder: Path) -> None:
    frame = decode_message(message(fields))
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.size > 0


TARGET = Target(
    "compressed",
    make,
    run,
    (ImageError,),
    cpu_s=2,
    batch=1000,
    known={
        "a thousand scans": lambda: {"format": "jpeg", "data": files.many_scans(1000, 8000)},
        "a chunk longer than the file": lambda: {"format": "png", "data": files.long_chunk()},
    },
)
