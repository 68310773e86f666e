# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""seg_node/InstanceMask → mask, as Python subscribers decode it (seg_node.masks.encoding)."""

from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np

from fuzz import mutate
from fuzz.target import Input, Target
from seg_node.masks.encoding import decode_crop, decode_mask, encode_mask
from seg_node.types import MaskCrop

_ENCODINGS = ("mono8", "bits", "rle", "rle")


def make(random: Random) -> Input:
    """A right mask, or one with wrong fields or bytes."""
    height, width = random.choice((1, 2, 5, 9, 31)), random.choice((1, 3, 8, 17, 40))
    rows, columns = random.randint(0, height), random.randint(0, width)
    x, y = random.randint(0, width - columns), random.randint(0, height - rows)
    pixels = np.array([random.random() < 0.5 for _ in range(rows * columns)], bool).reshape(rows, columns)
    encoding = random.choice(_ENCODINGS)
    fields: Input = {
        "height": height,
        "width": width,
        "x_offset": x,
        "y_offset": y,
        "roi_width": columns,
        "roi_height": rows,
        "encoding": encoding,
        "data": encode_mask(MaskCrop(x, y, pixels), encoding, (height, width)).tobytes(),
        "expected": np.flatnonzero(pixels).tolist(),
    }
    if random.random() < 0.1:
        return fields
    del fields["expected"]
    for name in random.sample(sorted(fields), random.choice((1, 2, 4))):
        fields[name] = _odd(name, fields[name], random)
    if encoding == "rle" and random.random() < 0.3:  # text that says what the fields say
        fields["data"] = _runs(fields["height"] * fields["width"], random)
    return fields


def _odd(name: str, old: Any, random: Random) -> Any:
    if name == "data":
        return random.choice((b"", old[:-1], old + b"0", mutate.mutate_bytes(old, random)))
    if name == "encoding":
        return random.choice((*_ENCODINGS, "", "RLE", "png", "x" * 1000))
    return mutate.integer(random)


def _runs(pixels: int, random: Random) -> bytes:
    """COCO's text of one to three run lengths that sum up to so many pixels."""
    cuts = sorted(random.randint(0, pixels) for _ in range(random.randrange(3)))
    counts = [end - start for start, end in zip([0, *cuts], [*cuts, pixels], strict=True)]
    return b"".join(_characters(count) for count in counts)


def _characters(count: int) -> bytes:
    """pycocotools common/maskApi.c: rleToString; of the first three numbers, which have no predecessor."""
    text = bytearray()
    while True:
        low, count = count & 0x1F, count >> 5
        more = count != (-1 if low & 0x10 else 0)
        text.append(48 + low + 32 * more)
        if not more:
            return bytes(text)


def message(fields: Input) -> Any:
    roi = SimpleNamespace(
        x_offset=fields["x_offset"],
        y_offset=fields["y_offset"],
        width=fields["roi_width"],
        height=fields["roi_height"],
    )
    return SimpleNamespace(roi=roi, encoding=fields["encoding"], data=fields["data"])


def run(fields: Input, folder: Path) -> None:
    crop = decode_crop(message(fields), fields["height"], fields["width"])
    assert crop.pixels.shape == (fields["roi_height"], fields["roi_width"])
    if "expected" in fields:
        assert np.flatnonzero(crop.pixels).tolist() == fields["expected"]
    decode_mask(message(fields), fields["height"], fields["width"])


TARGET = Target("mask", make, run, (ValueError,), cpu_s=2, batch=5000)
