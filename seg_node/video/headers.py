# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What a packet's headers say before a decoder sees it, and the units of H.264 and H.265 streams."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

_START_CODE = b"\0\0\1"
_LONGEST_START = 64  # bytes of zeros that may stand before the first start code
_MAX_UNITS = 8192  # slices, parameter sets and messages of one picture; encoders write at most hundreds


@dataclass(frozen=True)
class PictureSize:
    """The size of a stream's pictures.

    height, width: visible. coded_pixels: with the padding to whole blocks.
    references: pictures that a decoder keeps. pixel_bytes: bytes per pixel of all planes.
    """

    height: int
    width: int
    coded_pixels: int
    references: int
    pixel_bytes: float


@dataclass(frozen=True)
class PacketHeaders:
    """What the headers of one packet say.

    is_key: decoding can begin here. pictures, slices: how many begin in the packet.
    lost: why a packet before this one must be missing; empty where nothing says so.
    sizes: of the pictures, one for each header in this packet that states it.
    """

    is_key: bool = False
    pictures: int = 1
    slices: int = 1
    lost: str = ""
    sizes: tuple[PictureSize, ...] = ()


class HeaderReader(Protocol):
    """Reads the headers of one stream's packets, those that are not decoded too."""

    def read(self, data: bytes) -> PacketHeaders:
        """Raises ValueError for headers that cannot be read."""
        ...


def annex_b_units(data: bytes, head: int) -> Iterator[bytes]:
    """Yield the first `head` bytes of each NAL unit, without emulation prevention.

    Source: ITU-T H.264 and H.265, Annex B. Raises ValueError for data that has no start codes, or too many.
    """
    at = data.find(_START_CODE, 0, _LONGEST_START)
    if at < 0 or data[:at].strip(b"\0"):
        raise ValueError(f"data starts with {data[:8].hex(' ')}, without an Annex B start code")
    for _ in range(_MAX_UNITS):
        begin = at + len(_START_CODE)
        at = data.find(_START_CODE, begin)
        yield data[begin : min(begin + head, at if at >= 0 else len(data))].replace(b"\0\0\3", b"\0\0")
        if at < 0:
            return
    raise ValueError(f"packet has more than {_MAX_UNITS} NAL units")
