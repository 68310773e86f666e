# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Headers of H.265 packets. Section numbers refer to ITU-T H.265.

Every slice lists the pictures it needs, so the decoder itself reports a lost one.
"""

from seg_node.video.bit_reader import BitReader
from seg_node.video.headers import PacketHeaders, PictureSize, annex_b_units

_SLICES = frozenset({*range(10), *range(16, 22)})  # nal_unit_type, table 7-1
_KEY_SLICES = frozenset(range(16, 22))  # BLA, IDR and CRA
_SPS = 33
_HEAD = 512  # bytes of a unit that are read
_PROFILE_BITS, _LEVEL_BITS = 88, 8


class HevcHeaders:
    """A `seg_node.video.headers.HeaderReader` for H.265."""

    def read(self, data: bytes) -> PacketHeaders:
        is_key, pictures, slices = False, 0, 0
        sizes: list[PictureSize] = []
        for unit in annex_b_units(data, _HEAD):
            if len(unit) < 3 or unit[0] & 1 or unit[1] >> 3:
                continue  # a layer beside the first, such as a second view, which is not decoded
            kind = unit[0] >> 1 & 63
            if kind == _SPS:
                sizes.append(_read_sps(unit))
            elif kind in _SLICES:
                is_key |= kind in _KEY_SLICES
                slices += 1
                pictures += unit[2] >> 7  # first_slice_segment_in_pic_flag
        return PacketHeaders(is_key, pictures, slices, sizes=tuple(sizes))


def _read_sps(unit: bytes) -> PictureSize:
    """7.3.2.2.1"""
    reader = BitReader(unit[2:])
    reader.bits(4)
    sub_layers = reader.bits(3)
    reader.flag()
    _skip_profile(reader, sub_layers)
    reader.golomb()  # sps_seq_parameter_set_id
    chroma = reader.golomb()
    if chroma > 3:
        raise ValueError(f"chroma_format_idc is {chroma}, over 3")
    if chroma == 3:
        reader.flag()
    width, height = reader.golomb(), reader.golomb()
    coded = width * height
    if reader.flag():
        left, right, top, bottom = (reader.golomb() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1)
    depth = 8 + max(reader.golomb(), reader.golomb())
    reader.golomb()  # log2_max_pic_order_cnt_lsb_minus4
    references = 0
    for _ in range(sub_layers + 1 if reader.flag() else 1):
        references = max(references, reader.golomb())
        reader.golomb()
        reader.golomb()
    samples = (1.0, 1.5, 2.0, 3.0)[chroma]
    return PictureSize(height, width, coded, min(references, 16), samples * (2 if depth > 8 else 1))


def _skip_profile(reader: BitReader, sub_layers: int) -> None:
    """7.3.3"""
    reader.bits(_PROFILE_BITS + _LEVEL_BITS)
    present = [(reader.flag(), reader.flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.bits(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        reader.bits(_PROFILE_BITS * has_profile + _LEVEL_BITS * has_level)
