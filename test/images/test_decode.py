# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of raw camera images, against closed forms and slow plain references."""

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_node.images.decode import SUPPORTED_ENCODINGS, ImageError, decode_image

# (height, width), never square: one row, one column, odd, wide, tall
SIZES = [(1, 1), (1, 7), (9, 1), (5, 8), (13, 6)]
EVEN_SIZES = [(2, 2), (2, 8), (10, 4)]
PADDINGS = [0, 1, 5, 64]
PACKED_8 = {
    "bgr8": (3, "bgr"),
    "rgb8": (3, "rgb"),
    "bgra8": (4, "bgra"),
    "rgba8": (4, "rgba"),
    "mono8": (1, "mono"),
    "8UC1": (1, "mono"),
    "8UC3": (3, "bgr"),
    "8UC4": (4, "bgra"),
}
FIXED_16 = {
    "bgr16": (3, "bgr"),
    "rgb16": (3, "rgb"),
    "bgra16": (4, "bgra"),
    "rgba16": (4, "rgba"),
    "mono16": (1, "mono"),
    "16UC3": (3, "bgr"),
    "16UC4": (4, "bgra"),
}


def random_image(height, width, channels, dtype=np.uint8, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def message_bytes(rows, padding=0):
    """Rows of an image as (bytes, step), padded with junk that must not reach the result."""
    rows = [row.tobytes() for row in rows]
    return b"".join(row + b"\xa5" * padding for row in rows), len(rows[0]) + padding


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encoding", PACKED_8)
def test_packed_8_bit_is_a_view_of_the_message(encoding, size, padding):
    count, channels = PACKED_8[encoding]
    image = random_image(*size, count)
    packed, step = message_bytes(image, padding)
    data = array("B", packed)
    pixels, order = decode_image(data, *size, encoding, step)
    assert order == channels
    assert pixels.dtype == np.uint8
    assert pixels.shape == image.shape
    np.testing.assert_array_equal(pixels, image)
    assert np.shares_memory(pixels, np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8)])
def test_any_container_of_bytes_is_decoded(container):
    image = random_image(4, 6, 3)
    data, step = message_bytes(image, 3)
    pixels, _ = decode_image(container(data), 4, 6, "rgb8", step)
    np.testing.assert_array_equal(pixels, image)


def test_trailing_bytes_are_ignored_and_the_last_padding_may_be_missing():
    image = random_image(3, 5, 3)
    data, step = message_bytes(image, 7)
    for variant in (data + b"junk", data[:-7]):
        np.testing.assert_array_equal(decode_image(variant, 3, 5, "bgr8", step)[0], image)


@pytest.mark.parametrize("order", "<>")
def test_every_mono16_value_is_scaled_like_cv_bridge(order):
    values = np.arange(65536).reshape(128, 512)
    data, step = message_bytes(values.astype(order + "u2"), 6)
    pixels, channels = decode_image(data, 128, 512, "mono16", step, is_bigendian=order == ">")
    assert channels == "mono"
    np.testing.assert_array_equal(pixels, np.floor(values / 257 + 0.5))  # n / 257 is never halfway


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("encoding", FIXED_16)
def test_16_bit_colours_keep_their_order(encoding, order, padding):
    count, channels = FIXED_16[encoding]
    image = random_image(5, 8, count, np.uint16)
    data, step = message_bytes(image.astype(order + "u2"), padding)
    pixels, got = decode_image(data, 5, 8, encoding, step, is_bigendian=order == ">")
    assert got == channels
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.floor(image / 257 + 0.5))


NAN, INF, FLT_MAX = float("nan"), float("inf"), 3.4e38


@pytest.mark.parametrize(
    ("encoding", "values", "expected"),
    [
        ("16UC1", [1000, 2000, 3000], [0, 128, 255]),  # 127.5 rounds to even
        ("16UC1", [0, 1000, 0, 1100, 1010], [0, 0, 0, 255, 26]),  # 25.5 rounds to even
        ("16UC1", [0, 0, 0], [0, 0, 0]),
        ("16UC1", [700, 0, 700], [128, 0, 128]),
        ("16UC1", [1, 65535], [0, 255]),
        ("32FC1", [0.25, 0.5, 1.25], [0, 64, 255]),
        ("32FC1", [NAN, 1.0, INF, 3.0, -INF, 2.5, 0.0], [0, 0, 0, 255, 0, 191, 0]),
        ("32FC1", [NAN, INF, -INF], [0, 0, 0]),
        ("32FC1", [-5.0, NAN, -4.0], [0, 0, 255]),
        ("32FC1", [-FLT_MAX, FLT_MAX, 1.0], [0, 255, 128]),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_images_without_a_fixed_white_are_stretched_over_what_was_measured(encoding, values, expected, order):
    kind = {"16UC1": "u2", "32FC1": "f4"}[encoding]
    column = np.array(values).astype(order + kind)[:, None]
    data, step = message_bytes(column, 3)
    pixels, channels = decode_image(data, len(values), 1, encoding, step, is_bigendian=order == ">")
    assert channels == "mono"
    np.testing.assert_array_equal(pixels[:, 0], expected)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_a_large_stretched_image_matches_the_plain_rule_pixel_by_pixel(encoding):
    rng = np.random.default_rng(5)
    image = rng.integers(400, 5000, (60, 90)).astype({"16UC1": "u2", "32FC1": "f4"}[encoding])
    missing = rng.random(image.shape) < 0.3
    image[missing] = 0 if encoding == "16UC1" else rng.choice([NAN, INF, -INF, 0], missing.sum())
    if encoding == "32FC1":
        image.view("u4")[missing & (rng.random(image.shape) < 0.2)] = 0x7F800001  # a signalling NaN
    data, step = message_bytes(image, 2)
    low, high = image[~missing].min(), image[~missing].max()
    expected = [
        [
            0 if gone else round((float(value) - low) * 255 / (high - low))
            for value, gone in zip(*row, strict=True)
        ]
        for row in zip(image, missing, strict=True)
    ]
    np.testing.assert_allclose(decode_image(data, 60, 90, encoding, step)[0].astype(int), expected, atol=1)


def mosaic_of(image_rgb, pattern):
    """Sample an RGB image as a sensor with this colour filter does."""
    rows, columns = np.indices(image_rgb.shape[:2])
    colour = np.array(["rgb".index(letter) for letter in pattern]).reshape(2, 2)[rows % 2, columns % 2]
    return np.take_along_axis(image_rgb, colour[..., None], axis=2)[..., 0], colour


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [(3, 3), (5, 8), (12, 7)])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_flat_colour_comes_back_from_its_mosaic(pattern, size, padding):
    red, green, blue = 200, 90, 10
    mosaic, _ = mosaic_of(np.full((*size, 3), (red, green, blue), np.uint8), pattern)
    data, step = message_bytes(mosaic, padding)
    pixels, channels = decode_image(data, *size, f"bayer_{pattern}8", step)
    assert channels == "bgr"
    np.testing.assert_array_equal(pixels, np.full((*size, 3), (blue, green, red)))
    for order in "<>":
        data, step = message_bytes((mosaic.astype(np.uint16) * 257).astype(order + "u2"), padding)
        pixels, _ = decode_image(data, *size, f"bayer_{pattern}16", step, is_bigendian=order == ">")
        np.testing.assert_array_equal(pixels, np.full((*size, 3), (blue, green, red)))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_mosaic_is_interpolated_from_the_nearest_pixels_of_each_colour(pattern):
    mosaic, colour = mosaic_of(random_image(9, 12, 3), pattern)
    data, step = message_bytes(mosaic)
    pixels, _ = decode_image(data, 9, 12, f"bayer_{pattern}8", step)
    for y in range(1, 8):
        for x in range(1, 11):
            near = np.s_[y - 1 : y + 2, x - 1 : x + 2]
            for c in range(3):
                own = colour[y, x] == c
                expected = mosaic[y, x] if own else mosaic[near][colour[near] == c].mean()
                assert abs(int(pixels[y, x, 2 - c]) - expected) <= 1


def bgr_of(y, u, v):
    """Convert YUV by ITU-R BT.601, limited range: Kr = 0.299, Kb = 0.114."""
    luma, pb, pr = (y - 16.0) / 219, (u - 128.0) / 224, (v - 128.0) / 224
    red, blue = luma + 2 * (1 - 0.299) * pr, luma + 2 * (1 - 0.114) * pb
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(255 * np.stack((blue, green, red), axis=-1), 0, 255)


def random_yuv(height, width):
    rng = np.random.default_rng(height * 100 + width)
    return rng.integers(16, 236, (height, width)), rng.integers(0, 256, (2, height, width))


def assert_close_to_bgr(pixels, y, u, v):
    assert pixels.shape == (*y.shape, 3)
    np.testing.assert_allclose(pixels.astype(float), bgr_of(y, u, v), atol=2)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [(1, 2), (3, 4), (7, 2), (2, 10)])
@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2"])
def test_yuv_422_pairs_share_their_colour(encoding, size, padding):
    y, (u, v) = random_yuv(*size)
    u, v = u[:, ::2], v[:, ::2]
    values = (
        (u, y[:, ::2], v, y[:, 1::2]) if encoding in ("uyvy", "yuv422") else (y[:, ::2], u, y[:, 1::2], v)
    )
    data, step = message_bytes(np.stack(values, axis=-1).astype(np.uint8), padding)
    pixels, channels = decode_image(data, *size, encoding, step)
    assert channels == "bgr"
    assert_close_to_bgr(pixels, y, u.repeat(2, axis=1), v.repeat(2, axis=1))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", EVEN_SIZES)
@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_yuv_420_squares_share_their_colour(encoding, size, padding):
    y, (u, v) = random_yuv(*size)
    u, v = u[::2, ::2], v[::2, ::2]
    colours = np.stack((u, v) if encoding == "nv12" else (v, u), axis=-1).reshape(len(u), -1)
    data, step = message_bytes(np.concatenate((y, colours)).astype(np.uint8), padding)
    pixels, channels = decode_image(data, *size, encoding, step)
    assert channels == "bgr"
    assert_close_to_bgr(pixels, y, *(plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (u, v)))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [*SIZES, *EVEN_SIZES])
def test_nv24_has_a_colour_for_each_pixel(size, padding):
    y, (u, v) = random_yuv(*size)
    luma, step = message_bytes(y.astype(np.uint8), padding)
    colours, _ = message_bytes(np.stack((u, v), axis=-1).astype(np.uint8), 2 * padding)
    pixels, channels = decode_image(luma + colours, *size, "nv24", step)
    assert channels == "bgr"
    assert_close_to_bgr(pixels, y, u, v)


@pytest.mark.parametrize(
    ("reason", "height", "width", "encoding", "step", "size"),
    [
        ("unknown_encoding", 2, 4, "yuv420", 4, 12),
        ("unknown_encoding", 2, 4, "", 12, 24),
        ("empty_image", 0, 0, "bgr8", 0, 0),
        ("empty_image", 0, 4, "bgr8", 12, 24),
        ("empty_image", 2, 0, "bgr8", 12, 24),
        ("too_large", 8001, 8000, "mono8", 8000, 10),
        ("too_large", 1, 65536, "mono8", 65536, 65536),
        ("too_large", 65536, 1, "mono8", 1, 65536),
        ("wrong_step", 2, 4, "bgr8", 0, 24),
        ("wrong_step", 1, 4, "bgr8", 0, 24),
        ("wrong_step", 2, 4, "bgr8", 11, 24),
        ("wrong_step", 2, 4, "mono16", 4, 24),  # pixels, not bytes
        ("wrong_step", 2, 4, "nv12", 3, 24),
        ("wrong_step", 3, 4, "bayer_rggb16", 4, 24),
        ("truncated_data", 2, 4, "bgr8", 12, 0),
        ("truncated_data", 2, 4, "bgr8", 12, 23),
        ("truncated_data", 2, 4, "bgr8", 2**32 - 1, 24),
        ("truncated_data", 2, 4, "nv12", 4, 11),
        ("truncated_data", 2, 4, "nv24", 4, 23),
        ("truncated_data", 3, 4, "bayer_rggb8", 4, 11),
        ("bad_size", 2, 3, "uyvy", 6, 100),
        ("bad_size", 2, 3, "nv12", 4, 100),
        ("bad_size", 3, 2, "nv21", 4, 100),
        ("bad_size", 2, 8, "bayer_rggb8", 8, 100),
    ],
)
def test_a_wrong_image_is_refused_with_its_reason(reason, height, width, encoding, step, size):
    with pytest.raises(ImageError) as caught:
        decode_image(b"\x80" * size, height, width, encoding, step)
    assert caught.value.reason == reason


def test_the_error_for_an_unknown_encoding_names_a_supported_one():
    with pytest.raises(
        ValueError, match=r"'yuv420' is not supported; set the camera driver to bgr8"
    ) as caught:
        decode_image(b"", 2, 2, "yuv420", 2)
    assert all(encoding in str(caught.value) for encoding in SUPPORTED_ENCODINGS)


def test_an_unknown_encoding_is_named_on_one_short_line():
    with pytest.raises(ImageError, match=r"encoding '\\x1b\[2J\\nbgr8\\x1b") as caught:
        decode_image(b"", 2, 2, "\x1b[2J\nbgr8" * 10_000, 2)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_a_wrong_step_names_the_right_one():
    with pytest.raises(
        ImageError, match="step is 640, but a row of 640 pixels in encoding 'bgr8' is 1920 bytes"
    ):
        decode_image(b"", 480, 640, "bgr8", 640)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_random_packed_images_come_back(data):
    encoding = data.draw(st.sampled_from(sorted(PACKED_8)))
    height, width, padding = (data.draw(st.integers(low, 20)) for low in (1, 1, 0))
    image = random_image(height, width, PACKED_8[encoding][0], seed=data.draw(st.integers(0, 9)))
    packed, step = message_bytes(image, padding)
    np.testing.assert_array_equal(decode_image(packed, height, width, encoding, step)[0], image)


SIDE = st.integers(0, 12) | st.integers(0, 2**32 - 1)


def test_a_stretched_image_of_many_rows_is_stretched_as_one():
    image = np.arange(700 * 600, dtype=np.uint32).reshape(700, 600) % 60_000 + 1
    data, step = message_bytes(image.astype("<u2"))
    pixels, _ = decode_image(data, 700, 600, "16UC1", step)
    np.testing.assert_array_equal(pixels, np.rint((image - 1) * 255 / 59_999))


@pytest.mark.filterwarnings("error")
@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400), SIDE, SIDE, st.sampled_from([*SUPPORTED_ENCODINGS, "?"]), SIDE, st.booleans())
def test_no_message_raises_anything_else(data, height, width, encoding, step, is_bigendian):
    try:
        pixels, channels = decode_image(data, height, width, encoding, step, is_bigendian)
    except ImageError as error:
        assert error.reason
    else:
        values = {"mono": (), "bgr": (3,), "rgb": (3,), "bgra": (4,), "rgba": (4,)}[channels]
        assert pixels.shape == (height, width, *values)
        assert pixels.dtype == np.uint8
