# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Packets of a camera's video → pictures (seg_node.video.decoder)."""

from contextlib import suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np

from fuzz.target import Input, Target
from seg_node.images.buffer import ImageError
from seg_node.video.decoder import VideoDecoder
from seg_node.video.packet import VideoPacket, codec_of
from seg_node.video.picture import Picture

HEIGHT, WIDTH, PICTURES, GOP = 96, 128, 12, 5
_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency"}),
    "hevc": ("libx265", {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
}


@cache
def _stream(codec: str) -> tuple[bytes, ...]:
    """Noise that moves, so that packets hold coefficients and motion."""
    name, options = _ENCODERS[codec]
    context: Any = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.gop_size, context.thread_count = Fraction(1, 30), GOP, 1
    context.max_b_frames, context.options = 0, options
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    packets = []
    for index in range(PICTURES):
        frame = av.VideoFrame.from_ndarray(np.roll(noise, 3 * index, 1), format="bgr24")
        frame = frame.reformat(format="yuv420p")
        frame.pts = index
        packets += context.encode(frame)
    return tuple(bytes(packet) for packet in [*packets, *context.encode(None)])


def make(random: Random) -> Input:
    codec = random.choice([*_ENCODERS, "av1"])
    stream = list(_stream(codec if codec in _ENCODERS else "vp9"))
    for _ in range(random.randrange(3)):  # lost, doubled or swapped
        at = random.randrange(len(stream))
        stream[at : at + random.randrange(2)] = random.choices(stream, k=random.randrange(3))
    packets = [_damaged(packet, random) if random.random() < 0.4 else packet for packet in stream]
    return {"codec": codec, "counted": random.random() < 0.5, "packets": packets}


def _damaged(packet: bytes, random: Random) -> bytes:
    data = bytearray(packet)
    first = 40 if random.random() < 0.5 else len(data)  # headers, or anywhere
    for _ in range(random.choice([0, 1, 1, 2, 5, 50])):
        data[random.randrange(min(first, len(data)))] = random.randrange(256)
    match random.randrange(8):
        case 0:
            del data[random.randrange(len(data)) :]
        case 1:
            data = bytearray(random.randbytes(random.randrange(200)))
        case 2:
            data += packet
        case 3:
            data += b"\0\0\1" * random.randrange(9000)
    return bytes(data)


def run(fields: Input, folder: Path) -> None:
    decoder, outcomes = VideoDecoder(), 0
    for index, data in enumerate(fields["packets"]):
        count = index if fields["counted"] else None
        for outcome in decoder.decode(VideoPacket(codec_of(fields["codec"]), data, index * 10**8, count)):
            outcomes += 1
            if isinstance(outcome, Picture):
                with suppress(ImageError):
                    assert outcome.to_bgr().dtype == np.uint8
    assert outcomes + decoder.pending == len(fields["packets"])
    assert outcomes + len(decoder.flush()) == len(fields["packets"])
    assert decoder.pending == 0


# H.264, Baseline: parameter sets of 8192x4352 with 4 references and of 16384x16384, and the first slice of an
# IDR picture and a later slice of another, a few bytes each.
_LARGE = bytes.fromhex("000000016742003e8d650020000886400000000168e0")
_TOO_LARGE = bytes.fromhex("000000016742003e8d680040000200640000000168e0")
_FIRST_SLICE, _LATER_SLICE = bytes.fromhex("00000001659a0001"), bytes.fromhex("0000000161468000c0")


def _h264(*packets: bytes) -> Input:
    return {"codec": "h264", "counted": False, "packets": list(packets)}


TARGET = Target(
    "video_packets",
    make,
    run,
    (),
    cpu_s=10,
    batch=300,
    known={
        "a picture of 268 megapixels": lambda: _h264(_TOO_LARGE + _FIRST_SLICE),
        "a large picture behind a small one": lambda: _h264(_TOO_LARGE + _stream("h264")[0]),
        "thousands of slices": lambda: _h264(_LARGE + _FIRST_SLICE, _FIRST_SLICE + _LATER_SLICE * 8000),
        "references of nothing": lambda: _h264(_LARGE + _FIRST_SLICE, *[_LATER_SLICE] * 50),
    },
)
