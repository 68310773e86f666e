# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of compressed camera images: round trips, hand-made and damaged files."""

import struct
from array import array

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_node.images.decode import ImageError, decode_compressed

# (height, width), never square: one row, one column, odd, wide, tall
SIZES = [(1, 1), (1, 7), (9, 1), (5, 8), (13, 6)]


def encoded(image, suffix, *options):
    ok, file = cv2.imencode(suffix, image, options)
    assert ok
    return file.tobytes()


def smooth_image(height=48, width=80):
    """Blue rises to the right, green downwards, red is constant: asymmetric, with small JPEG errors."""
    y, x = np.indices((height, width))
    return np.stack((x * 255 / width, y * 255 / height, np.full(x.shape, 200)), axis=-1).astype(np.uint8)


FORMATS = [
    "jpeg",
    "",
    "bgr8; jpeg compressed bgr8",
    "rgb8; jpeg compressed bgr8",
    "rgb8; jpeg compressed rgb8",
]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_comes_back_as_bgr_whatever_the_original_was(format, progressive):
    image = smooth_image()
    file = encoded(image, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    pixels, channels = decode_compressed(array("B", file), format)
    assert channels == "bgr"
    np.testing.assert_allclose(pixels.astype(int), image, atol=10)


def test_a_grey_jpeg_is_mono():
    image = smooth_image()[..., 0]
    pixels, channels = decode_compressed(encoded(image, ".jpg"), "mono8; jpeg compressed mono8")
    assert channels == "mono"
    np.testing.assert_allclose(pixels.astype(int), image, atol=10)


@pytest.mark.parametrize(
    ("count", "dtype", "format", "channels"),
    [
        (1, np.uint8, "mono8; png compressed ", "mono"),
        (3, np.uint8, "rgb8; png compressed bgr8", "bgr"),
        (4, np.uint8, "png", "bgra"),
        (1, np.uint16, "mono16; png compressed ", "mono"),
        (3, np.uint16, "rgb16; png compressed bgr16", "bgr"),
        (4, np.uint16, "png", "bgra"),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_a_png_comes_back_exactly(count, dtype, format, channels, size):
    shape = size if count == 1 else (*size, count)
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    pixels, got = decode_compressed(encoded(image, ".png"), format)
    assert got == channels
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, image if dtype == np.uint8 else np.floor(image / 257 + 0.5))


def test_a_png_of_a_mosaic_or_of_16UC1_is_read_by_its_original_encoding():
    mosaic = np.tile(np.array([[90, 200], [10, 90]], np.uint8), (3, 4))
    pixels, channels = decode_compressed(encoded(mosaic, ".png"), "bayer_grbg8; png compressed ")
    assert channels == "bgr"
    np.testing.assert_array_equal(pixels, np.full((6, 8, 3), (10, 90, 200)))
    depth = encoded(np.array([[1000, 0, 1100]], np.uint16), ".png")
    assert decode_compressed(depth, "16UC1; png compressed ")[0].tolist() == [[0, 0, 255]]


FLAT_GRBG = np.tile(np.array([[90, 200], [10, 90]], np.uint8), (24, 40))  # red 200, green 90, blue 10


@pytest.mark.parametrize(
    ("suffix", "format", "channels"),
    [
        (".jpg", "bayer_grbg8; jpeg compressed bayer_grbg8", "bgr"),  # jpeg_compress_bayer
        (".jpg", "bayer_grbg8; jpeg compressed ", "bgr"),  # ROS 1
        (".jpg", "bayer_grbg8; jpeg compressed", "bgr"),
        (".jpg", "bayer_grbg8;jpeg compressed bayer_grbg8 ", "bgr"),
        (".jpg", "bayer_grbg16; jpeg compressed bayer_grbg8", "bgr"),  # JPEG has no 16 bits
        (".jpg", "bayer_grbg8", "bgr"),
        (".png", "bayer_grbg8; png compressed bayer_grbg8", "bgr"),
        (".png", "bayer_grbg8; png compressed ", "bgr"),
        (".jpg", "bayer_grbg8; jpeg compressed mono8", "mono"),  # converted to grey by the publisher
        (".png", "bayer_grbg8; png compressed mono8", "mono"),
        (".jpg", "mono8; jpeg compressed mono8", "mono"),
    ],
)
def test_a_grey_file_is_a_mosaic_where_its_format_says_so(suffix, format, channels):
    pixels, got = decode_compressed(encoded(FLAT_GRBG, suffix, cv2.IMWRITE_JPEG_QUALITY, 100), format)
    assert got == channels
    expected = np.full((48, 80, 3), (10, 90, 200)) if channels == "bgr" else FLAT_GRBG
    np.testing.assert_allclose(pixels.astype(int), expected, atol=2)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_mosaic_in_a_jpeg_has_the_colours_of_the_one_in_a_png(pattern):
    y, x = np.indices((48, 80))
    mosaic = (100 + y + x % 2 * 50 + y % 2 * 20).astype(np.uint8)
    jpeg = encoded(mosaic, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    found, _ = decode_compressed(jpeg, f"bayer_{pattern}8; jpeg compressed bayer_{pattern}8")
    expected, _ = decode_compressed(encoded(mosaic, ".png"), f"bayer_{pattern}8; png compressed ")
    np.testing.assert_allclose(found.astype(int), expected, atol=3)


def test_a_colour_file_keeps_its_colours_even_if_its_format_names_a_mosaic():
    image = smooth_image()
    pixels, channels = decode_compressed(encoded(image, ".png"), "bayer_rggb8; png compressed bgr8")
    assert channels == "bgr"
    np.testing.assert_array_equal(pixels, image)


def segment(marker, content):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def test_jpeg_segments_before_the_frame_are_skipped():
    thumbnail = encoded(smooth_image(8, 16), ".jpg")
    # One entry: tag 0x0112 (orientation), short, count 1, value 6 (rotated by 90°).
    orientation = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    file = encoded(smooth_image(), ".jpg")
    before = segment(0xE1, b"Exif\0\0" + orientation) + segment(0xE2, thumbnail) + b"\xff\xff\xff"
    file = file[:2] + before + file[3:] + b"\0" * 100
    pixels, _ = decode_compressed(file, "jpeg")
    np.testing.assert_allclose(pixels.astype(int), smooth_image(), atol=10)


@pytest.mark.parametrize("keep_tables", [False, True])
def test_a_jpeg_may_have_its_huffman_tables_before_the_frame_or_as_motion_jpeg_none(keep_tables):
    file, tables = encoded(smooth_image(), ".jpg"), b""
    while (at := file.find(b"\xff\xc4")) >= 0:
        end = at + 2 + int.from_bytes(file[at + 2 : at + 4], "big")
        file, tables = file[:at] + file[end:], tables + file[at:end]
    file = file[:2] + (tables if keep_tables else b"") + file[2:]
    np.testing.assert_allclose(decode_compressed(file, "jpeg")[0].astype(int), smooth_image(), atol=10)


def resized_jpeg(height, width):
    file = bytearray(encoded(smooth_image(), ".jpg"))
    struct.pack_into(">HH", file, file.index(b"\xff\xc0") + 5, height, width)
    return bytes(file)


def resized_png(height, width):
    file = bytearray(encoded(smooth_image(), ".png"))
    struct.pack_into(">II", file, 16, width, height)
    return bytes(file)


JPEG, PNG = encoded(smooth_image(), ".jpg"), encoded(smooth_image(), ".png")


@pytest.mark.parametrize(
    ("reason", "data", "format"),
    [
        ("depth_image", PNG, "16UC1; compressedDepth png"),
        ("unknown_encoding", b"GIF89a" + bytes(50), "gif"),
        ("unknown_encoding", b"\0\0\0\1\x67", "h264"),
        ("truncated_data", b"", "jpeg"),
        ("truncated_data", JPEG[: len(JPEG) // 2], "jpeg"),
        ("truncated_data", JPEG[:-2], "jpeg"),
        ("truncated_data", PNG[: len(PNG) // 2], "png"),
        ("corrupt_image", JPEG[:2], "jpeg"),
        ("corrupt_image", JPEG[:2] + b"\x55\xff" * 40, "jpeg"),
        ("corrupt_image", JPEG[:2] + JPEG[JPEG.index(b"\xff\xc0") :], "jpeg"),  # without its tables
        ("corrupt_image", JPEG[: JPEG.index(b"\xff\xc0") + 4] + b"\xff\xd9", "jpeg"),
        ("corrupt_image", PNG[:20], "png"),
        ("corrupt_image", PNG[:12] + b"\x55" * 24 + PNG[36:], "png"),
        ("corrupt_image", PNG[:60] + b"\x55" * 20 + PNG[80:], "png"),
        ("corrupt_image", resized_png(48, 81), "png"),
        ("too_large", resized_jpeg(65500, 65500), "jpeg"),
        ("too_large", resized_png(2**31 - 1, 2**31 - 1), "png"),
        ("too_large", resized_png(8001, 8000), "png"),
        ("empty_image", resized_jpeg(0, 80), "jpeg"),
        ("empty_image", resized_png(48, 0), "png"),
        ("bad_size", encoded(np.zeros((2, 8), np.uint8), ".png"), "bayer_rggb8; png compressed "),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(reason, data, format):
    with pytest.raises(ImageError) as caught:
        decode_compressed(data, format)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("data", "format"), [(b"", "{}"), (PNG, "16UC1; compressedDepth {}"), (b"\x1b[2J\n\0\0\0\0", "{}")]
)
def test_the_reason_is_one_short_line_whatever_the_format_says(data, format):
    with pytest.raises(ImageError) as caught:
        decode_compressed(data, format.format("\x1b]0;owned\x07\n\u202e" * 10_000))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([JPEG, PNG]), st.data())
def test_no_file_raises_anything_else(file, data):
    at = data.draw(st.integers(2, len(file)))
    damaged = file[:at] + data.draw(st.binary(max_size=12)) + file[at + data.draw(st.integers(0, 20)) :]
    try:
        pixels, _ = decode_compressed(damaged, "bayer_rggb8; png compressed ")
    except ImageError as error:
        assert error.reason
    else:
        assert pixels.dtype == np.uint8
