# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Picture file → frame, as `seg_node segment` and `train` read it (seg_node.sources.source.read_image)."""

import io
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from fuzz import files, mutate
from fuzz.target import Input, Target
from seg_node.sources.source import read_image

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_KINDS = (
    "PNG",
    "JPEG",
    "BMP",
    "WEBP",
    "TIFF",
    "PPM",
    "GIF",
    "TGA",
    "ICO",
    "PCX",
    "SGI",
    "JPEG2000",
    "DDS",
    "MPO",
)
# the heads of files that Pillow gives to other programs, or whose readers do more than unpack pixels
_FOREIGN = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 12\n%%EndComments\nshowpage\n%%EOF\n",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n%%EndComments\n(/outside) (w) file\n%%EOF\n",
    b"".join(line.ljust(80) for line in (b"SIMPLE  =   T", b"BITPIX  = -64", b"NAXIS   =   2", b"END")),
    b"8BPS\0\1" + bytes(6) + b"\0\3" + b"\0\x01\xff\xff" * 2 + b"\0\x08\0\3" + bytes(12),
    b"\xd7\xcd\xc6\x9a\0\0" + bytes(16) + b"\1\0\x09\0\0\3" + bytes(20), b"icns\0\0\0\x08", b"%PDF-1.4\n",
    b"<svg xmlns='http://www.w3.org/2000/svg' width='99999' height='99999'/>", b"P6\n99999 99999\n255\n",
    b"P5\n8000 8000\n65535\n", b"P4\n4294967295 1\n",
)  # fmt: skip


@lru_cache
def _samples() -> tuple[bytes, ...]:
    pixels = np.random.default_rng(2).integers(0, 256, (7, 11, 3), np.uint8)
    made = []
    for kind in _KINDS:
        for mode in ("RGB", "L", "I;16"):
            buffer = io.BytesIO()
            try:
                Image.fromarray(pixels if mode == "RGB" else pixels[..., 0]).convert(mode).save(buffer, kind)
            except (OSError, ValueError, KeyError):  # not every format has every mode
                continue
            made.append(buffer.getvalue())
    return tuple(made)


def make(random: Random) -> Input:
    match random.randrange(5):
        case 0:
            data = files.broken(random)
        case 1:
            data = random.choice(_FOREIGN)
            data = mutate.mutate_bytes(data, random) if random.random() < 0.3 else data
        case 2:
            data = random.choice(_samples())
        case _:
            data = mutate.mutate_bytes(random.choice(_samples()), random)
    return {"suffix": random.choice(_SUFFIXES), "data": data}


def run(fields: Input, folder: Path) -> None:
    path = folder / f"picture{fields['suffix']}"
    path.write_bytes(fields["data"])
    frame = read_image(path)
    assert frame.pixels.dtype == np.uint8 and frame.pixels.shape[2] == 3


TARGET = Target("picture", make, run, (ValueError,), batch=1000)
