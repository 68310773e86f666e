# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Headers of H.264 packets. Section numbers refer to ITU-T H.264.

Decoders conceal a lost picture by repeating the one before it, without an error; frame_num reveals it.
"""

from dataclasses import dataclass

from seg_node.video.bit_reader import BitReader
from seg_node.video.headers import PacketHeaders, PictureSize, annex_b_units

_SLICE, _IDR_SLICE, _SEI, _SPS, _PPS = 1, 5, 6, 7, 8  # nal_unit_type, table 7-1
_RECOVERY_POINT = 6  # payloadType, D.1.1: decoding may begin without an IDR picture
_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})  # 7.3.2.1.1
_HEAD = 1024  # bytes of a unit that are read; scaling lists may precede the size


@dataclass(frozen=True)
class _Sps:
    size: PictureSize
    frame_num_bits: int
    has_gaps: bool  # frame_num may skip values: the encoder leaves out pictures on purpose
    has_planes: bool  # colour planes are coded apart


class H264Headers:
    """A `seg_node.video.headers.HeaderReader` for H.264."""

    def __init__(self) -> None:
        self._sps: dict[int, _Sps] = {}
        self._pps: dict[int, int] = {}  # id → id of its SPS
        self._last_reference: int | None = None  # frame_num of the last picture that others may refer to

    def read(self, data: bytes) -> PacketHeaders:
        is_key, pictures, slices, lost = False, 0, 0, ""
        sizes: list[PictureSize] = []
        for unit in annex_b_units(data, _HEAD):
            kind = unit[0] & 31 if unit else 0
            if kind == _SPS:
                sizes.append(self._read_sps(unit))
            elif kind == _PPS:
                reader = BitReader(unit[1:16])
                self._pps[_bounded(reader.golomb(), 255)] = _bounded(reader.golomb(), 31)
            elif kind == _SEI:
                is_key |= len(unit) > 1 and _RECOVERY_POINT in _sei_payloads(unit[1:])
            elif kind in (_SLICE, _IDR_SLICE):
                is_key |= kind == _IDR_SLICE
                slices += 1
                reader = BitReader(unit[1:24])
                if reader.golomb() == 0:  # first_mb_in_slice
                    pictures += 1
                    lost = lost or self._gap(unit[0], reader)
        return PacketHeaders(is_key, pictures, slices, lost, tuple(sizes))

    def _gap(self, header: int, reader: BitReader) -> str:
        """Compare frame_num with the reference picture before it, as 7.4.3 does."""
        reader.golomb()  # slice_type
        sps = self._sps.get(self._pps.get(reader.golomb(), -1))
        if sps is None:  # the decoder reports it
            return ""
        reader.bits(2 if sps.has_planes else 0)
        frame_num, last = reader.bits(sps.frame_num_bits), self._last_reference
        if header & 31 == _IDR_SLICE:
            last = None
        if header >> 5 & 3:  # nal_ref_idc: others may refer to it
            self._last_reference = frame_num
        if last is None or sps.has_gaps:
            return ""
        skipped = (frame_num - last) % (1 << sps.frame_num_bits)
        return "" if skipped <= 1 else f"frame_num is {frame_num} after {last}"

    def _read_sps(self, unit: bytes) -> PictureSize:
        reader = BitReader(unit[1:])
        profile = reader.bits(8)
        reader.bits(16)  # constraints, level
        number = _bounded(reader.golomb(), 31)
        chroma, depth, has_planes = 1, 8, False
        if profile in _WITH_CHROMA:
            chroma = _bounded(reader.golomb(), 3)
            has_planes = chroma == 3 and reader.flag()
            depth = 8 + max(reader.golomb(), reader.golomb())
            reader.flag()
            if reader.flag():
                _skip_scaling_lists(reader, 12 if chroma == 3 else 8)
        frame_num_bits = 4 + _bounded(reader.golomb(), 12)
        _skip_order_count(reader)
        references, has_gaps = _bounded(reader.golomb(), 16), reader.flag()
        width, rows = 16 * (reader.golomb() + 1), 16 * (reader.golomb() + 1)
        fields = 1 if reader.flag() else 2
        reader.bits(fields)  # mb_adaptive_frame_field_flag where there are fields, direct_8x8_inference_flag
        height, coded = fields * rows, width * fields * rows
        if reader.flag():
            left, right, top, bottom = (reader.golomb() for _ in range(4))
            width -= (left + right) * (2 if chroma in (1, 2) else 1)
            height -= (top + bottom) * (2 if chroma == 1 else 1) * fields
        samples = (1.0, 1.5, 2.0, 3.0)[chroma]
        size = PictureSize(height, width, coded, references, samples * (2 if depth > 8 else 1))
        self._sps[number] = _Sps(size, frame_num_bits, has_gaps, has_planes)
        return size


def _sei_payloads(data: bytes) -> list[int]:
    """List the types of an SEI unit's messages, 7.3.2.3; both type and size are sums of bytes up to 255."""
    found, at = [], 0
    while at + 2 <= len(data) and data[at:] != b"\x80":
        numbers = []
        for _ in ("type", "size"):
            total = 0
            while at < len(data) and data[at] == 255:
                total, at = total + 255, at + 1
            numbers.append(total + (data[at] if at < len(data) else 0))
            at += 1
        found.append(numbers[0])
        at += numbers[1]
    return found


def _skip_scaling_lists(reader: BitReader, count: int) -> None:
    """7.3.2.1.1.1"""
    for index in range(count):
        if not reader.flag():
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + reader.signed_golomb()) % 256
            last = following or last


def _skip_order_count(reader: BitReader) -> None:
    kind = reader.golomb()
    if kind == 0:
        reader.golomb()
    elif kind == 1:
        reader.flag()
        reader.golomb()
        reader.golomb()
        for _ in range(_bounded(reader.golomb(), 255)):
            reader.golomb()


def _bounded(value: int, highest: int) -> int:
    if value > highest:
        raise ValueError(f"{value} in a header that allows {highest}")
    return value
