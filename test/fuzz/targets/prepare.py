# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Image message of any size → input of a network, in each reference's way of resizing."""

from pathlib import Path
from random import Random

import numpy as np
import torch

from fuzz.target import Input, Target
from seg_node.images.decode import ImageError, decode_image
from seg_node.preprocess.prepare import InputSpec, prepare_frames
from seg_node.types import Frame

_LONG = (1, 2, 3, 50, 1000, 10_000, 65_535, 100_000, 1_000_000, 8_000_000, 64_000_000)
_BYTES_PER_PIXEL = {"mono8": 1, "bgr8": 3, "rgb8": 3, "bgra8": 4, "rgba8": 4}
_MOST_BYTES = 256_000_000


def make(random: Random) -> Input:
    """Sizes in any proportion; half of them of a few rows or columns."""
    encoding = random.choice(list(_BYTES_PER_PIXEL))
    height = random.choice(_LONG) + random.randrange(8)
    width = random.choice(_LONG) + random.randrange(8)
    match random.randrange(4):
        case 0:
            height = min(height, 3)
        case 1:
            width = min(width, 3)
    most = _MOST_BYTES // _BYTES_PER_PIXEL[encoding]
    height = min(height, most)
    return {
        "height": height,
        "width": min(width, most // height),
        "encoding": encoding,
        "resize": random.choice(("torchvision", "torch", "pillow", "opencv")),
        "exact": random.random() < 0.5,
    }


def run(fields: Input, folder: Path) -> None:
    height, width, encoding = fields["height"], fields["width"], fields["encoding"]
    step = width * _BYTES_PER_PIXEL[encoding]
    data = np.zeros(height * step, np.uint8)  # which takes memory only where it is read
    pixels, channels = decode_image(data, height, width, encoding, step)
    spec = InputSpec(resize=fields["resize"], min_size=128, max_size=256)
    batch = prepare_frames([Frame(pixels, channels)], spec, torch.device("cpu"), exact=fields["exact"])
    assert bool(torch.isfinite(batch.pixels).all())


TARGET = Target("prepare", make, run, (ImageError,), cpu_s=2, batch=100)
