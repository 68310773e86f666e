"""Depth in metres from messages: units, byte order, padding, what counts as no measurement, compression."""

import struct
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seg_node.depth_image import DepthImage, decode_depth
from seg_node.image_buffer import ImageError
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


def compressed(values: NDArray[np.uint16], format: str, a: float = 0.0, b: float = 0.0) -> Any:
    png = cv2.imencode(".png", values)[1].tobytes()
    return SimpleNamespace(header=HEADER, format=format, data=struct.pack("<iff", 0, a, b) + png)


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


@given(st.floats(0.3, 9.0), st.sampled_from([50.0, 100.0]))
def test_compressed_metres_are_quantised_inverse_depth(metres: float, z0: float) -> None:
    """As the plugin's encoder: A = z0 (z0 + 1), B = 1 - A / max, value = A / depth + B."""
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


GREY = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()
PNG = compressed(MILLIMETRES, "").data


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        (broken(encoding="bgr8"), "unknown_encoding", "16UC1"),
        (broken(height=0), "empty_image", "no pixels"),
        (broken(step=5), "wrong_step", "step"),
        (broken(data=b"123"), "truncated_data", "3 bytes"),
        (broken_compressed(format="bgr8; jpeg compressed bgr8"), "unknown_encoding", "compressedDepth"),
        (broken_compressed(format="16UC1; compressedDepth rvl"), "unknown_encoding", "png"),
        (broken_compressed(data=b"123"), "truncated_data", "3 bytes"),
        (broken_compressed(data=PNG[:40]), "truncated_data", "IEND"),
        (broken_compressed(data=PNG[:12] + GREY), "corrupt_image", "16 bit"),
        (compressed(MILLIMETRES, "32FC1; compressedDepth png", a=0.0), "corrupt_image", "A = 0"),
        (compressed(MILLIMETRES, "32FC1; compressedDepth png", a=float("nan")), "corrupt_image", "A = nan"),
    ],
)
def test_what_is_no_depth_is_refused_with_its_reason(message: Any, reason: str, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        decode_depth(message)
    assert caught.value.reason == reason
