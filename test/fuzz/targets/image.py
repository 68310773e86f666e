# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image → pixels (seg_node.images.decode)."""

from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np

from fuzz import mutate
from fuzz.target import Input, Target
from seg_node.images.decode import SUPPORTED_ENCODINGS, ImageError, decode_message

_FOREIGN = (
    "",
    "BGR8",
    "bgr8 ",
    "bgr8\0",
    "bgr8\n\x1b[31m",
    "64FC1",
    "8SC3",
    "32SC1",
    "yuv420",
    "x" * 5000,
    "ä",
)


def make(random: Random) -> Input:
    """An image with a few wrong fields, or none."""
    encoding = random.choice(SUPPORTED_ENCODINGS)
    height, width = random.choice((1, 2, 3, 4, 7, 24)), random.choice((1, 2, 3, 5, 8, 33))
    step = width * random.choice((1, 2, 3, 4, 6, 8)) + random.choice((0, 0, 1, 3))
    fields: Input = {
        "height": height,
        "width": width,
        "encoding": encoding,
        "step": step,
        "is_bigendian": random.choice((0, 1)),
        "data": random.randbytes(height * step * random.choice((1, 2))),
        "sec": 12,
        "nanosec": 34,
    }
    for name in random.sample(sorted(fields), random.choice((0, 1, 1, 2, 3))):
        fields[name] = _odd(name, fields[name], random)
    return fields


def _odd(name: str, old: Any, random: Random) -> Any:
    if name == "data":
        return random.choice((b"", old[:-1], old + b"\0", old[: len(old) // 2], old * 3))
    if name == "encoding":
        return random.choice(_FOREIGN)
    if name == "is_bigendian":
        return random.randrange(256)
    if name == "sec":
        return mutate.integer(random) - (1 << 31)
    return mutate.integer(random)


def message(fields: Input) -> Any:
    """What rclpy or rosbags would give."""
    header = SimpleNamespace(
        stamp=SimpleNamespace(sec=fields["sec"], nanosec=fields["nanosec"]), frame_id="camera"
    )
    return SimpleNamespace(header=header, **fields)


def run(fields: Input, folder: Path) -> None:
    frame = decode_message(message(fields))
    assert frame.pixels.dtype == np.uint8
    assert frame.image_size == (fields["height"], fields["width"])
    np.array(frame.pixels)  # a view must lie within the message


TARGET = Target("image", make, run, (ImageError,), cpu_s=2, batch=5000)
