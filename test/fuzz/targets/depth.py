# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Depth as sensor_msgs/Image and as CompressedImage (seg_node.images.depth)."""

import struct
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np

from fuzz import files, mutate
from fuzz.target import Input, Target
from fuzz.targets import image
from seg_node.images.decode import ImageError
from seg_node.images.depth import decode_depth
from seg_node.types import Roi

_ENCODINGS = ("32FC1", "16UC1", "mono16", "32FC1", "16UC1", "bgr8", "64FC1", "")
_FORMATS = (
    "32FC1; compressedDepth png", "16UC1; compressedDepth png", "mono16; compressedDepth",
    "16UC1; compressedDepth", "32FC1; compressedDepth rvl", "32FC1; compressedDepth", "png", "",
    "; compressedDepth", "16UC1; compressed png",
)  # fmt: skip


def make(random: Random) -> Input:
    if random.random() < 0.5:
        return {**image.make(random), "encoding": random.choice(_ENCODINGS)}
    parameters = struct.pack("<iff", random.choice((0, 1, -1)), *(_quantisation(random) for _ in range(2)))
    data = parameters + files.broken(random)
    if random.random() < 0.1:
        data = mutate.mutate_bytes(data[:20], random)
    return {"format": random.choice(_FORMATS), "data": data}


def _quantisation(random: Random) -> float:
    number = random.choice((100.0, 1.0, mutate.real(random)))
    return number if abs(number) < 3.4e38 else float("inf")


def message(fields: Input) -> Any:
    header = SimpleNamespace(
        stamp=SimpleNamespace(sec=fields.get("sec", 1), nanosec=fields.get("nanosec", 2)), frame_id="camera"
    )
    return SimpleNamespace(header=header, **fields)


def run(fields: Input, folder: Path) -> None:
    depth = decode_depth(message(fields))
    height, width = depth.image_size
    part = Roi(0, 0, min(width, 1000), min(height, 1000))
    metres = depth.crop(part)
    valid = metres[~np.isnan(metres)]
    assert metres.shape == (part.height, part.width)
    assert np.all(valid >= 0) and np.all(np.isfinite(valid))


def _long_chunk() -> Input:
    header = struct.pack("<iff", 0, 100.0, 1.0)
    return {"format": "16UC1; compressedDepth png", "data": header + files.long_chunk()}


TARGET = Target(
    "depth",
    make,
    run,
    (ImageError,),
    cpu_s=2,
    batch=1000,
    known={"a chunk longer than the file": _long_chunk},
)
