# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Headers of video packets are read, and held to limits, before a decoder sees them."""

import re

import numpy as np
import pytest

from seg_node.images.buffer import ImageError
from seg_node.video.bit_reader import BitReader
from seg_node.video.continuity import Continuity
from seg_node.video.headers import annex_b_units
from seg_node.video.packet import (
    VideoPacket,
    check_picture_size,
    check_work,
    codec_of,
    header_reader,
)

START = b"\0\0\0\1"


def golomb(value: int) -> str:
    """n zeros, then value + 1 in n + 1 bits."""
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def to_bytes(*fields: str) -> bytes:
    """The bits, then a stop bit and zeros."""
    bits = "".join(fields) + "1"
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


def unit(header: bytes, *fields: str) -> bytes:
    """A NAL unit behind its start code, with emulation prevention."""
    return START + header + re.sub(rb"\0\0(?=[\0-\3])", lambda _: b"\0\0\3", to_bytes(*fields))


def h264_sps(columns: int, rows: int, references: int = 1) -> bytes:
    """Baseline, 16 bits of frame_num; columns and rows of macroblocks."""
    fields = f"{66:08b}", "0" * 8, f"{62:08b}", golomb(0), golomb(12), golomb(2), golomb(references), "0"
    return unit(b"\x67", *fields, golomb(columns - 1), golomb(rows - 1), "1", "1", "0", "0")


def h264_pps() -> bytes:
    return unit(b"\x68", golomb(0), golomb(0))


def h264_slice(frame_num: int, first: int = 0, header: int = 0x61) -> bytes:
    return unit(bytes([header]), golomb(first), golomb(5), golomb(0), f"{frame_num:016b}")


def hevc_sps(width: int, height: int, pictures: int = 1) -> bytes:
    profile = "0" * 96
    fields = "0000", "000", "0", profile, golomb(0), golomb(1), golomb(width), golomb(height), "0"
    orders = golomb(0), golomb(0), golomb(0), "0", golomb(pictures), golomb(0), golomb(0)
    return unit(b"\x42\x01", *fields, *orders)


def vp9_key(width: int, height: int) -> bytes:
    return to_bytes(
        "10", "00", "0", "0", "00", f"{0x498342:024b}", "0000", f"{width - 1:016b}", f"{height - 1:016b}"
    )


def av1_sequence(width: int, height: int) -> bytes:
    fields = "000", "0", "0", "0", "0", "00000", "0" * 12, "00000", "1111", "1111"
    payload = to_bytes(*fields, f"{width - 1:016b}", f"{height - 1:016b}")
    return bytes([1 << 3 | 2, len(payload)]) + payload


@pytest.mark.parametrize("value", [0, 1, 2, 3, 7, 8, 254, 65535, 2**31 - 1])
def test_exp_golomb_numbers_are_read(value: int) -> None:
    reader = BitReader(to_bytes("101", golomb(value), golomb(1)))
    assert (reader.bits(3), reader.golomb(), reader.golomb()) == (5, value, 1)


@pytest.mark.parametrize(("code", "value"), [(0, 0), (1, 1), (2, -1), (3, 2), (4, -2), (255, 128)])
def test_signed_exp_golomb_numbers_are_read(code: int, value: int) -> None:
    assert BitReader(to_bytes(golomb(code))).signed_golomb() == value


@pytest.mark.parametrize("data", [b"", b"\0", bytes(8), b"\0\0\0\1"])
def test_numbers_that_are_cut_off_or_too_long_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|32 bits"):
        BitReader(data).golomb()


def test_units_are_found_behind_start_codes_of_either_length() -> None:
    data = b"\0\0\0\1\x67ab\0\0\1\x68\0\0\3\1\0\0\1\x65" + b"x" * 50
    assert list(annex_b_units(data, 4)) == [b"\x67ab", b"\x68\0\0", b"\x65xxx"]
    assert list(annex_b_units(data, 5))[1] == b"\x68\0\0\1"


@pytest.mark.parametrize("data", [b"\0\0\0\x12\x65abc", b"x\0\0\1\x65", bytes(70) + b"\0\0\1\x65"])
def test_data_without_a_start_code_at_its_begin_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="Annex B"):
        list(annex_b_units(data, 8))


KEYS = {
    "h264": h264_sps(80, 45) + h264_pps() + h264_slice(0, header=0x65),
    "hevc": hevc_sps(1280, 720) + START + b"\x26\x01\xaf",
    "vp9": vp9_key(1280, 720),
    "av1": av1_sequence(1280, 720) + bytes([6 << 3 | 2, 1, 0x10]),
}
OTHERS = {
    "h264": h264_slice(1),
    "hevc": START + b"\x02\x01\xd0",
    "vp9": b"\x86\x00\x40",
    "av1": bytes([6 << 3 | 2, 1, 0x30]),
}


@pytest.mark.parametrize("codec", KEYS)
def test_key_frames_and_their_sizes_are_recognised(codec: str) -> None:
    headers = header_reader(codec_of(codec)).read(KEYS[codec])
    assert headers.is_key and (headers.pictures, headers.slices) == (1, 1)
    assert [(size.height, size.width) for size in headers.sizes] == [(720, 1280)]
    other = header_reader(codec_of(codec)).read(OTHERS[codec])
    assert (other.is_key, other.pictures, other.sizes) == (False, 1, ())


def test_a_gap_in_frame_num_is_a_lost_picture() -> None:
    reader = header_reader("h264")
    reader.read(KEYS["h264"])
    numbers = [1, 2, 3, 5, 6, 65535, 0, 1, 3]
    assert [number for number in numbers if reader.read(h264_slice(number)).lost] == [5, 65535, 3]


def test_pictures_that_none_refers_to_leave_no_gap() -> None:
    reader = header_reader("h264")
    reader.read(KEYS["h264"])
    unused = 0x01  # nal_ref_idc 0
    steps = [(1, 0x61), (2, unused), (2, unused), (2, 0x61), (3, 0x61), (5, unused)]
    packets = [h264_slice(number, header=header) for number, header in steps]
    assert [bool(reader.read(data).lost) for data in packets] == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        ("h264", h264_sps(1024, 1024)),
        ("h264", h264_sps(2**20, 2**20)),
        ("h264", h264_sps(512, 272, references=16)),
        ("hevc", hevc_sps(16384, 16384)),
        ("hevc", hevc_sps(8192, 4352, pictures=15)),
        ("vp9", vp9_key(65536, 65536)),
        ("av1", av1_sequence(65536, 65536)),
    ],
)
def test_sizes_that_a_decoder_would_need_gigabytes_for_are_refused(codec: str, data: bytes) -> None:
    (size,) = header_reader(codec_of(codec)).read(data).sizes
    with pytest.raises(ImageError) as refusal:
        check_picture_size(size)
    assert refusal.value.reason == "too_large"


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        ("h264", h264_sps(240, 135, references=16)),  # 4K
        ("h264", h264_sps(512, 272, references=4)),
        ("hevc", hevc_sps(8192, 4320, pictures=6)),
        ("vp9", vp9_key(8192, 4320)),
        ("av1", av1_sequence(5120, 2880)),
    ],
)
def test_large_cameras_are_within_the_limits(codec: str, data: bytes) -> None:
    (size,) = header_reader(codec_of(codec)).read(data).sizes
    check_picture_size(size)


def test_every_parameter_set_of_a_packet_is_read() -> None:
    sizes = header_reader("h264").read(h264_sps(512, 512) + h264_sps(20, 15) + h264_pps()).sizes
    assert [(size.height, size.width) for size in sizes] == [(8192, 8192), (240, 320)]


def test_every_frame_of_a_vp9_superframe_is_read() -> None:
    frames = [vp9_key(320, 240), b"\x86\x00\x40", vp9_key(9000, 9000)]
    marker = bytes([0b110_01_010])  # 2 bytes for each size, 3 frames
    index = marker + b"".join(len(frame).to_bytes(2, "little") for frame in frames) + marker
    headers = header_reader("vp9").read(b"".join(frames) + index)
    assert headers.is_key and headers.slices == 3
    assert [(size.height, size.width) for size in headers.sizes] == [(240, 320), (9000, 9000)]


def test_vp9_may_not_change_its_depth_between_key_frames() -> None:
    reader = header_reader("vp9")
    reader.read(vp9_key(320, 240))
    with pytest.raises(ValueError, match="profile is 2 after 0"):
        reader.read(to_bytes("10", "01", "0", "1", "1"))


def test_a_layer_beside_the_first_is_passed_over() -> None:
    sps = bytearray(hevc_sps(640, 480))
    sps[5] |= 1 << 3  # nuh_layer_id 1
    headers = header_reader("hevc").read(KEYS["hevc"] + bytes(sps))
    assert [(size.height, size.width) for size in headers.sizes] == [(720, 1280)]


@pytest.mark.parametrize(
    ("begins", "reason"), [([0] * 3, "corrupt_image"), ([0, *range(1, 4000)], "too_large")]
)
def test_many_pictures_or_slices_in_a_packet_are_refused(begins: list[int], reason: str) -> None:
    reader = header_reader("h264")
    (size,) = reader.read(KEYS["h264"]).sizes
    headers = reader.read(b"".join(h264_slice(1, first) for first in begins))
    with pytest.raises(ImageError) as refusal:
        check_work(headers, size.coded_pixels)
    assert refusal.value.reason == reason


@pytest.mark.parametrize("codec", KEYS)
def test_damaged_headers_raise_nothing_else(codec: str) -> None:
    rng = np.random.default_rng(5)
    reader, whole = header_reader(codec_of(codec)), KEYS[codec] + OTHERS[codec]
    for _ in range(3000):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(256)
        try:
            for size in reader.read(bytes(data[: rng.integers(1, len(data) + 1)])).sizes:
                check_picture_size(size)
        except ValueError:  # ImageError is one
            pass


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("h264", "h264"),
        ("h264;yuv420p;bgr8;rgb8", "h264"),
        ("libx264", "h264"),
        ("h264_nvenc", "h264"),
        ("hevc_vaapi;nv12;bgr8;bayer_rggb8", "hevc"),
        ("libx265", "hevc"),
        ("h265", "hevc"),
        ("H265", "hevc"),
        ("vp9", "vp9"),
        ("libvpx-vp9", "vp9"),
        ("av1_nvenc", "av1"),
        ("libsvtav1;yuv420p;bgr8;bgr8", "av1"),
    ],
)
def test_encodings_name_codecs_and_encoders(encoding: str, codec: str) -> None:
    assert codec_of(encoding) == codec


@pytest.mark.parametrize("encoding", ["", ";", "mjpeg", "bgr8;h264", "h264\n" * 999, "\x1b[31m"])
def test_other_encodings_are_refused_on_one_line(encoding: str) -> None:
    with pytest.raises(ImageError, match="supported: h264, hevc, vp9, av1") as refusal:
        codec_of(encoding)
    assert refusal.value.reason == "unknown_encoding"
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 250


def lost_at(counts: list[int | None], stamps_ms: list[int], codec: str = "vp9") -> list[int]:
    """Indices of the packets that a loss shows before."""
    continuity = Continuity()
    pairs = enumerate(zip(counts, stamps_ms, strict=True))
    packets = [(i, VideoPacket(codec_of(codec), b"", ms * 10**6, count)) for i, (count, ms) in pairs]
    return [index for index, packet in packets if continuity.lost(packet)]


@pytest.mark.parametrize(
    ("counts", "lost"),
    [
        ([0, 1, 2, 3, 4, 5], []),
        ([0, 1, 2, 3, 5, 6, 8, 9], [4, 6]),
        ([90, 91, 92, 93, 0, 1, 2, 3, 5], [8]),  # it began again
        ([0, 3, 1, 2, 6, 4, 5, 7, 8, 9, 10, 12], []),  # B-frames
        ([0, 33, 67, 100, 133, 200], []),  # milliseconds
        ([7] * 8, []),
    ],
)
def test_a_count_of_packets_shows_a_loss(counts: list[int | None], lost: list[int]) -> None:
    steady = [33 * index for index in range(len(counts))]
    assert lost_at(counts, steady, "h264") == lost


@pytest.mark.parametrize(
    ("stamps_ms", "lost"),
    [
        ([0, 33, 67, 100, 133, 167, 200], []),
        ([0, 33, 67, 100, 133, 200, 233, 333], [5, 7]),
        ([0, 100, 200, 250, 300, 350, 400, 450, 500, 550, 600, 700], [11]),  # the rate was raised
        ([0] * 8, []),
        ([0, 33], []),
    ],
)
def test_a_gap_in_even_stamps_shows_a_loss(stamps_ms: list[int], lost: list[int]) -> None:
    without = [None] * len(stamps_ms)
    assert lost_at(without, stamps_ms) == lost
    assert lost_at(without, stamps_ms, "h264") == []  # which numbers its pictures itself
    assert lost_at([*range(len(stamps_ms))], stamps_ms) == []  # the count shows that none is missing
