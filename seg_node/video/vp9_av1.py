# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Headers of VP9 and AV1 packets. Neither numbers its pictures: a lost packet shows by its stamp at best."""

from seg_node.video.bit_reader import BitReader
from seg_node.video.headers import PacketHeaders, PictureSize

_REFERENCES = 8  # of both formats
_SYNC_CODE, _RGB = 0x498342, 7
_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME, _OBU_LIMIT = 1, 3, 6, 4096


class Vp9Headers:
    """A `seg_node.video.headers.HeaderReader` for VP9 (bitstream specification 0.6)."""

    def __init__(self) -> None:
        self._profile = -1

    def read(self, data: bytes) -> PacketHeaders:
        frames = _superframe(data)
        sizes = [self._read_frame(BitReader(frame[:32]), data) for frame in frames]
        known = tuple(size for size in sizes if size is not None)
        return PacketHeaders(sizes[0] is not None, 1, len(frames), sizes=known)

    def _read_frame(self, reader: BitReader, data: bytes) -> PictureSize | None:
        """Return the size that a key frame states; None for other frames. Section 6.2"""
        if reader.bits(2) != 2:
            raise ValueError(f"data starts with {data[:4].hex(' ')}, which is no VP9 frame")
        profile = reader.bits(1) + 2 * reader.bits(1)
        if profile == 3:
            reader.bits(1)
        if reader.flag():  # show_existing_frame
            return None
        if reader.flag():  # frame_type is not KEY_FRAME
            if self._profile not in (-1, profile):
                raise ValueError(f"profile is {profile} after {self._profile}, without a key frame")
            return None
        self._profile = profile
        reader.bits(2)
        if reader.bits(24) != _SYNC_CODE:
            raise ValueError("VP9 key frame without its sync code")
        deep = profile >= 2
        reader.bits(1 if deep else 0)
        if reader.bits(3) == _RGB:
            reader.bits(1 if profile % 2 else 0)
        else:
            reader.bits(4 if profile % 2 else 1)
        width, height = reader.bits(16) + 1, reader.bits(16) + 1
        pixel_bytes = (3.0 if profile % 2 else 1.5) * (2 if deep else 1)
        return PictureSize(height, width, height * width, _REFERENCES, pixel_bytes)


def _superframe(data: bytes) -> list[bytes]:
    """Split a packet into its frames: hidden ones, and the one that is shown. Annex B"""
    marker = data[-1]
    count, length = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = data[-2 - count * length :]
    if marker & 0xE0 != 0xC0 or len(index) < 2 + count * length or index[0] != marker:
        return [data]
    frames, at = [], 0
    for begin in range(1, 1 + count * length, length):
        size = int.from_bytes(index[begin : begin + length], "little")
        if size:
            frames.append(data[at : at + size])
        at += size
    return frames or [data]


class Av1Headers:
    """A `seg_node.video.headers.HeaderReader` for AV1's low-overhead format (its section 5).

    A key frame comes with a sequence header, as foxglove_msgs/CompressedVideo demands.
    """

    def read(self, data: bytes) -> PacketHeaders:
        at, frames = 0, 0
        sizes: list[PictureSize] = []
        for _ in range(_OBU_LIMIT):
            if at >= len(data):
                return PacketHeaders(bool(sizes), min(frames, 1), frames, sizes=tuple(sizes))
            kind, begin, end = _unit(data, at)
            if kind == _SEQUENCE_HEADER:
                sizes.append(_sequence_size(data[begin : min(end, begin + 512)]))
            frames += kind in (_FRAME, _FRAME_HEADER)
            at = end
        raise ValueError(f"packet has more than {_OBU_LIMIT} units")


def _unit(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the type of the unit that starts here, and where its payload begins and ends. 5.3"""
    header = data[at]
    at += 2 if header & 4 else 1
    if header & 0x80 or not header & 2:
        raise ValueError(f"unit with header {header:#04x} has no size")
    size = shift = 0
    while True:
        if at >= len(data) or shift > 56:
            raise ValueError("unit's size cannot be read")
        size |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 128:
            break
    if at + size > len(data):
        raise ValueError(f"unit of {size} bytes, but the packet has {len(data) - at} more")
    return header >> 3 & 15, at, at + size


def _sequence_size(data: bytes) -> PictureSize:
    """5.5.1"""
    reader = BitReader(data)
    profile = reader.bits(3)
    reader.flag()
    if reader.flag():  # reduced_still_picture_header
        reader.bits(5)
    else:
        delay_bits = _skip_timing(reader)
        has_delay = reader.flag()
        for _ in range(reader.bits(5) + 1):
            reader.bits(12)
            reader.bits(1 if reader.bits(5) > 7 else 0)
            if delay_bits and reader.flag():
                reader.bits(2 * delay_bits + 1)
            reader.bits(4 if has_delay and reader.flag() else 0)
    width_bits, height_bits = reader.bits(4) + 1, reader.bits(4) + 1
    width, height = reader.bits(width_bits) + 1, reader.bits(height_bits) + 1
    pixel_bytes = 6.0 if profile else 3.0  # 4:4:4 or 4:2:0, of more than 8 bits at worst
    return PictureSize(height, width, height * width, _REFERENCES, pixel_bytes)


def _skip_timing(reader: BitReader) -> int:
    """Return the bits of the decoder model's delays, 0 without a decoder model. 5.5.3 and 5.5.4"""
    if not reader.flag():
        return 0
    reader.bits(64)
    if reader.flag():
        reader.golomb()
    if not reader.flag():
        return 0
    delay_bits = reader.bits(5) + 1
    reader.bits(42)
    return delay_bits
