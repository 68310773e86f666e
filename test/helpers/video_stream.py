# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Video streams encoded in the test: every picture shows its number and coloured rectangles."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("av", reason="PyAV is not installed")
import av

BLOCK = 32  # pixels a side of each bit of the number
BITS = 8
# BGR, at (row, column) of their first pixel in units of BLOCK
RECTANGLES = {(1, 1): (40, 40, 200), (1, 4): (60, 180, 60), (3, 2): (210, 90, 30), (3, 6): (90, 200, 210)}
SIZE = (288, 384)  # height, width: not square, and 288 is no multiple of H.265's blocks of 64
# codec → encoder and its options: no look-ahead, and a packet for every picture at once
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency"}),
    "hevc": ("libx265", {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    "av1": ("libsvtav1", {"preset": "10", "svtav1-params": "lookahead=0:pred-struct=1"}),
}


@dataclass(frozen=True)
class Encoded:
    """A packet. number: of its picture, in order of display."""

    number: int
    is_key: bool
    data: bytes


def picture(number: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """BGR: rectangles on a ramp, and below them the number as white and black blocks."""
    height, width = size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(60, 140, width, dtype=np.uint8)[None, :, None]
    for (row, column), colour in RECTANGLES.items():
        image[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 2) * BLOCK] = colour
    for bit in range(BITS):
        image[-BLOCK:, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    # Something moves, else a picture that repeats the one before it would be the right one.
    left = number * 4 % (width - BLOCK)
    image[5 * BLOCK : 6 * BLOCK, left : left + BLOCK] = (0, 128, 255)
    return image


def number_of(bgr: NDArray[np.uint8]) -> int:
    middles = bgr[-BLOCK // 2, BLOCK // 2 : BITS * BLOCK : BLOCK].mean(axis=1)
    return sum(1 << bit for bit in range(BITS) if middles[bit] > 127)


def rectangle_errors(bgr: NDArray[np.uint8]) -> list[float]:
    """The distance of each rectangle's mean colour from the drawn one, edges left out."""
    errors = []
    for (row, column), colour in RECTANGLES.items():
        inner = bgr[row * BLOCK + 4 : (row + 1) * BLOCK - 4, column * BLOCK + 4 : (column + 2) * BLOCK - 4]
        errors.append(float(np.abs(inner.mean(axis=(0, 1)) - colour).max()))
    return errors


def encode(
    codec: str,
    count: int,
    *,
    gop: int = 10,
    size: tuple[int, int] = SIZE,
    b_frames: int = 0,
    options: dict[str, str] | None = None,
) -> list[Encoded]:
    """Encode pictures 0 … count - 1; skips the test where PyAV was built without the encoder."""
    name, usual = ENCODERS[codec]
    try:
        context: Any = av.CodecContext.create(name, "w")
    except Exception:
        pytest.skip(f"PyAV has no {name}")
    context.height, context.width = size
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 30), 30
    context.gop_size, context.max_b_frames, context.thread_count = gop, b_frames, 1
    context.options = usual if options is None else options
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(picture(number, size), format="bgr24").reformat(format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return [Encoded(packet.pts, packet.is_keyframe, bytes(packet)) for packet in packets]
