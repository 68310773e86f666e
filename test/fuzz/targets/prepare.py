"""Frame of any size → input of a network (seg_node.prepare), in each reference's way of resizing."""

from pathlib import Path
from random import Random

import numpy as np
import torch

from fuzz.target import Input, Target
from seg_node.prepare import InputSpec, prepare_frames
from seg_node.types import Frame

_LONG = (1, 2, 3, 50, 1000, 10_000, 100_000, 1_000_000, 8_000_000, 64_000_000)
_CHANNELS = {"mono": 1, "bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4}
_MOST_BYTES = 192_000_000  # 64 megapixels of three colours


def make(random: Random) -> Input:
    """Sizes that a camera message may have: at most 64 megapixels, in any proportion."""
    channels = random.choice(list(_CHANNELS))
    height = random.choice(_LONG) + random.randrange(8)
    width = random.choice(_LONG) + random.randrange(8)
    if random.random() < 0.8:
        height = min(height, 3)
    most = _MOST_BYTES // _CHANNELS[channels]
    width = max(1, min(width, most // height)) if height <= most else 1
    return {
        "height": min(height, most),
        "width": width,
        "channels": channels,
        "resize": random.choice(("torchvision", "torch", "pillow", "opencv")),
        "exact": random.random() < 0.5,
    }


def run(fields: Input, folder: Path) -> None:
    depth = _CHANNELS[fields["channels"]]
    shape = (fields["height"], fields["width"]) + ((depth,) if depth > 1 else ())
    frame = Frame(np.zeros(shape, np.uint8), fields["channels"])
    spec = InputSpec(resize=fields["resize"], min_size=128, max_size=256)
    batch = prepare_frames([frame], spec, torch.device("cpu"), exact=fields["exact"])
    assert bool(torch.isfinite(batch.pixels).all())


TARGET = Target("prepare", make, run, (ValueError,), cpu_s=2, batch=100)
