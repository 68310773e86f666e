# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Depth in metres from messages: units, byte order, padding, invalid pixels, compression."""

import struct
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seg_node.images.buffer import ImageError
from seg_node.images.depth import DepthImage, decode_depth
from seg_node.types import Roi

HEADER = SimpleNamespace(stamp=SimpleNamespace(sec=12, nanosec=34), frame_id="depth_optical")
MILLIMETRES = np.array([[1, 2500, 65535], [0, 999, 1000]], np.uint16)


def image(values: NDArray[Any], encoding: str, padding: int = 0, bigendian: bool = False) -> Any:
    rows = np.ascontiguousarray(values, values.dtype.newbyteorder(">" if bigendian else "<"))
    data = b"".join(row.tobytes() + b"\xee" * padding for row in rows)
    height, width = values.shape
    step = len(data) // height
    return SimpleNamespace(
        header=HEADER,
        height=height,
        width=width,
        encoding=encoding,
        step=step,
        is_bigendian=bigendian,
        data=data,
    )


def png_of(values: NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(".png", values)[1])


def packed(data: bytes, format: str) -> Any:
    return SimpleNamespace(header=HEADER, format=format, data=data)


def compressed(values: NDArray[np.uint16], format: str, a: float = 0.0, b: float = 0.0) -> Any:
    return packed(struct.pack("<iff", 0, a, b) + png_of(values), format)


@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("bigendian", [False, True])
def test_sixteen_bits_are_millimetres(encoding: str, padding: int, bigendian: bool) -> None:
    depth = decode_depth(image(MILLIMETRES, encoding, padding, bigendian))
    np.testing.assert_allclose(depth.metres, [[0.001, 2.5, 65.535], [np.nan, 0.999, 1.0]], rtol=1e-6)
    assert depth.metres.dtype == np.float32
    assert (depth.image_size, depth.stamp_ns, depth.frame_id) == ((2, 3), 12_000_000_034, "depth_optical")


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("bigendian", [False, True])
def test_floats_are_metres_and_only_positive_finite_ones_count(padding: int, bigendian: bool) -> None:
    values = [[0.25, np.nan, np.inf, 3e38], [-1.0, 0.0, 7.5, 1e5], [-np.inf, -0.0, 1e-3, 9e4]]
    depth = decode_depth(image(np.array(values, np.float32), "32FC1", padding, bigendian))
    nan = np.nan
    expected = np.array([[0.25, nan, nan, nan], [nan, nan, 7.5, nan], [nan, nan, 1e-3, 9e4]], np.float32)
    np.testing.assert_array_equal(depth.metres, expected)


def test_a_crop_is_the_same_part_of_the_whole() -> None:
    depth = DepthImage(np.arange(48, dtype=np.uint16).reshape(6, 8), metres_per_value=0.001)
    np.testing.assert_array_equal(depth.crop(Roi(2, 1, 5, 4)), depth.metres[1:5, 2:7])
    np.testing.assert_array_equal(depth.crop(Roi(2, 1, 5, 4), stride=2), depth.metres[1:5:2, 2:7:2])


@pytest.mark.parametrize("format", ["16UC1; compressedDepth png", "16UC1; compressedDepth"])
def test_compressed_millimetres_are_the_raw_ones(format: str) -> None:
    raw = decode_depth(image(MILLIMETRES, "16UC1"))
    np.testing.assert_array_equal(decode_depth(compressed(MILLIMETRES, format)).metres, raw.metres)


FORMATS = (
    "16UC1; compressedDepth png",
    "16UC1; compressedDepth",
    "16UC1; png compressed ",
    "16UC1",
    "png",
    "PNG",
    "",
    "mono16; png compressed mono16",
    "16UC1; compressedDepth rvl",
)


@pytest.mark.parametrize("format", FORMATS)
def test_a_png_without_the_transports_header_is_read_as_16UC1(format: str) -> None:
    raw = decode_depth(image(MILLIMETRES, "16UC1"))
    np.testing.assert_array_equal(decode_depth(packed(png_of(MILLIMETRES), format)).metres, raw.metres)


@pytest.mark.parametrize("format", ["16UC1; compressedDepth png", "16UC1", "png", ""])
def test_a_png_behind_the_transports_header_is_read_whatever_its_format_leaves_out(format: str) -> None:
    raw = decode_depth(image(MILLIMETRES, "16UC1"))
    np.testing.assert_array_equal(decode_depth(compressed(MILLIMETRES, format)).metres, raw.metres)


@pytest.mark.parametrize(
    "message",
    [
        image(MILLIMETRES, "16UC1"),
        image(MILLIMETRES, "mono16", bigendian=True),
        compressed(MILLIMETRES, "16UC1; compressedDepth png"),
        packed(png_of(MILLIMETRES), "png"),
    ],
)
def test_integers_have_the_callers_unit(message: Any) -> None:
    """A RealSense D405 publishes tenths of a millimetre."""
    expected = [[0.0001, 0.25, 6.5535], [np.nan, 0.0999, 0.1]]
    np.testing.assert_allclose(decode_depth(message, unit_m=0.0001).metres, expected, rtol=1e-6)


def test_metres_stay_metres_whatever_the_unit() -> None:
    metres = np.array([[0.5, 2.0]], np.float32)
    inverse = compressed(np.array([[60, 0]], np.uint16), "32FC1; compressedDepth png", a=120.0)
    np.testing.assert_array_equal(decode_depth(image(metres, "32FC1"), unit_m=0.0001).metres, metres)
    np.testing.assert_array_equal(decode_depth(inverse, unit_m=0.0001).metres, [[2.0, np.nan]])


@pytest.mark.parametrize("unit_m", [-0.001, np.nan, np.inf])
def test_an_invalid_unit_is_refused(unit_m: float) -> None:
    with pytest.raises(ValueError, match="unit_m"):
        decode_depth(image(MILLIMETRES, "16UC1"), unit_m=unit_m)


@pytest.mark.parametrize(
    ("value", "unit_m", "typical_m", "doubtful"),
    [
        (1500, 0.001, 1.5, False),
        (51, 0.001, 0.051, False),
        (49, 0.001, 0.049, True),
        (49_900, 0.001, 49.9, False),
        (50_100, 0.001, 50.1, True),
        (3000, 0.0001, 0.3, False),
        (60_000, 0.001, 60.0, True),  # tenths of a millimetre read as millimetres, 6 m away
        (2, 0.001, 0.002, True),  # integer metres
        (0, 0.001, np.nan, False),
    ],
)
def test_a_typical_depth_that_no_camera_measures_makes_the_unit_doubtful(
    value: int, unit_m: float, typical_m: float, doubtful: bool
) -> None:
    values = np.zeros((300, 500), np.uint16)
    values[:, 100:] = value
    depth = decode_depth(image(values, "16UC1"), unit_m=unit_m)
    assert depth.typical_m == pytest.approx(typical_m, nan_ok=True)
    assert depth.unit_is_doubtful is doubtful


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (64, 64), (65, 63), (480, 640)])
def test_the_typical_depth_is_the_median_of_a_grid_over_the_image(size: tuple[int, int]) -> None:
    values = np.random.default_rng(1).uniform(1.0, 3.0, size).astype(np.float32)
    values[values > 2.9] = np.nan
    depth = DepthImage(values)
    assert depth.typical_m == pytest.approx(np.nanmedian(values), abs=0.06)
    assert not DepthImage(values * 1000).unit_is_doubtful  # metres by definition


@given(st.floats(0.3, 9.0), st.sampled_from([50.0, 100.0]))
def test_compressed_metres_are_quantised_inverse_depth(metres: float, z0: float) -> None:
    """Encode like the plugin: A = z0 (z0 + 1), B = 1 - A / max, value = A / depth + B."""
    a = z0 * (z0 + 1)
    b = 1 - a / 10.0
    message = compressed(
        np.array([[a / metres + b, 0]]).astype(np.uint16), "32FC1; compressedDepth png", a, b
    )
    found = decode_depth(message).metres
    step = metres**2 / a  # the depth of one quantum
    assert found[0, 0] == pytest.approx(metres, abs=1.2 * step)
    assert np.isnan(found[0, 1])


def broken(**fields: Any) -> Any:
    message = image(MILLIMETRES, "16UC1")
    return SimpleNamespace(**{**vars(message), **fields})


def broken_compressed(**fields: Any) -> Any:
    message = compressed(MILLIMETRES, "16UC1; compressedDepth png")
    return SimpleNamespace(**{**vars(message), **fields})


GREY, COLOUR = png_of(np.zeros((4, 4), np.uint8)), png_of(np.zeros((4, 4, 3), np.uint8))
JPEG = bytes(cv2.imencode(".jpg", np.zeros((4, 4), np.uint8))[1])
TIFF = bytes(cv2.imencode(".tiff", MILLIMETRES)[1])
RVL = struct.pack("<iffii", 0, 0, 0, 3, 2) + b"\x12\x34" * 10
PNG = compressed(MILLIMETRES, "").data


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        (broken(encoding="bgr8"), "unknown_encoding", "16UC1"),
        (broken(height=0), "empty_image", "no pixels"),
        (broken(step=5), "wrong_step", "step"),
        (broken(data=b"123"), "truncated_data", "3 bytes"),
        (broken_compressed(format="bgr8; jpeg compressed bgr8"), "unknown_encoding", "compressedDepth"),
        (packed(RVL, "16UC1; compressedDepth rvl"), "unknown_encoding", "rvl' is not supported.*to png"),
        (
            packed(RVL, "16UC1; compressedDepth"),
            "unknown_encoding",
            "no PNG after its 12-byte header",
        ),
        (packed(RVL[12:], "16UC1; compressedDepth png"), "unknown_encoding", "no PNG after.*to png"),
        (
            packed(JPEG, "16UC1; jpeg compressed mono8"),
            "unknown_encoding",
            "a JPEG, which loses depth.*png",
        ),
        (packed(TIFF, "16UC1; tiff compressed "), "unknown_encoding", "a TIFF; set.*png"),
        (packed(COLOUR, "bgr8; png compressed bgr8"), "unknown_encoding", "'compressedDepth' topic"),
        (packed(COLOUR, "png"), "corrupt_image", "16-bit"),
        (packed(GREY, "16UC1; png compressed "), "corrupt_image", "16-bit"),
        (
            packed(png_of(MILLIMETRES), "32FC1; compressedDepth png"),
            "corrupt_image",
            "without the 12",
        ),
        (packed(b"", "16UC1; compressedDepth png"), "truncated_data", "0 bytes"),
        (broken(encoding="\x1b[2J\n" * 99), "unknown_encoding", r"'\\x1b\[2J\\n"),
        (broken_compressed(format="\x1b[2J\n" * 99), "unknown_encoding", r"'\\x1b\[2J\\n"),
        (broken_compressed(data=b"123"), "truncated_data", "3 bytes"),
        (broken_compressed(data=PNG[:50]), "truncated_data", "is truncated"),
        (broken_compressed(data=PNG[:12] + GREY), "corrupt_image", "16-bit"),
        (compressed(MILLIMETRES, "32FC1; compressedDepth png", a=0.0), "corrupt_image", "A = 0"),
        (compressed(MILLIMETRES, "32FC1; compressedDepth png", a=float("nan")), "corrupt_image", "A = nan"),
    ],
)
def test_other_images_are_refused_with_their_reason(message: Any, reason: str, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        decode_depth(message)
    assert caught.value.reason == reason
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([*FORMATS, "x"]), st.sampled_from([b"", bytes(12)]), st.data())
def test_no_compressed_depth_raises_anything_else(
    junk: bytes, format: str, header: bytes, data: st.DataObject
) -> None:
    png = png_of(MILLIMETRES)
    at = data.draw(st.integers(0, len(png)))
    for file in (junk, header + junk, header + png[:at] + junk + png[at:]):
        try:
            assert decode_depth(packed(file, format)).metres.dtype == np.float32
        except ImageError as error:
            assert str(error).isprintable()
