# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Decode depth in metres from sensor_msgs/Image and from compressedDepth images. No ROS.

    32FC1           metres
    16UC1, mono16   millimetres, or the unit that the caller gives
    CompressedImage "32FC1; compressedDepth png" or "16UC1; compressedDepth png", as written by
                    compressed_depth_image_transport, the codec's name optional; or a 16-bit grey PNG
                    without that transport's header, read as 16UC1

Source: REP-118. 0, negative values, NaN, Inf and depths beyond MAX_DEPTH_M are not measurements.
"""

import math
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_node.images.buffer import MAX_PIXELS, ImageError, check_size, stamp_to_ns, view_rows
from seg_node.images.compressed import decode_file
from seg_node.images.jpeg_file import JPEG_START
from seg_node.images.png_file import PNG_SIGNATURE
from seg_node.types import Roi
from seg_node.untrusted.printable import printable

MAX_DEPTH_M = 1e5  # larger values are not depth, and their squares lose float32's precision
_MILLIMETRE = 0.001
_VALUES = {"32FC1": "f4", "16UC1": "u2", "mono16": "u2"}
# ConfigHeader of compressed_depth_image_transport: enum format, float depthParam[2], in native layout
_HEADER = struct.Struct("<iff")
_TIFF_STARTS = (b"II*\0", b"MM\0*")

PLAUSIBLE_M = (0.05, 50.0)  # range of depth cameras: integers outside it are in another unit
_SAMPLES = 4096  # minimum number of pixels that the typical depth is computed from


@dataclass(frozen=True)
class DepthImage:
    """Depth along the optical axis in the message's own type; only the pixels in use are converted.

    values: (H, W) uint16 or float32 of any byte order, may be a view of the message's bytes.
    stamp_ns, frame_id: from the source header. metres_per_value: 1, or the unit of integer values.
    """

    values: NDArray[Any]
    stamp_ns: int = 0
    frame_id: str = ""
    metres_per_value: float = 1.0

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.values.shape[0], self.values.shape[1]

    @cached_property
    def metres(self) -> NDArray[np.float32]:
        """The whole image: float32 (H, W), NaN for pixels without a measurement."""
        return self.crop(Roi(0, 0, self.values.shape[1], self.values.shape[0]))

    def crop(self, roi: Roi, stride: int = 1) -> NDArray[np.float32]:
        """Every stride-th row and column of the rectangle, which is in the image: float32, NaN invalid."""
        metres = self.values[roi.slices][::stride, ::stride].astype(np.float32)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            metres[~((metres > 0) & (metres < MAX_DEPTH_M))] = np.nan
        if self.metres_per_value != 1.0:
            metres *= np.float32(self.metres_per_value)
        return metres

    @cached_property
    def typical_m(self) -> float:
        """Median of a few thousand measurements, in metres; NaN without any."""
        height, width = self.image_size
        stride = max(1, math.isqrt(height * width // _SAMPLES))
        metres = self.crop(Roi(0, 0, width, height), stride)
        measured = metres[~np.isnan(metres)]
        return float(np.median(measured)) if measured.size else math.nan

    @property
    def unit_is_doubtful(self) -> bool:
        """Whether integer values give a typical depth outside PLAUSIBLE_M, which suggests another unit."""
        return self.values.dtype.kind == "u" and not (
            math.isnan(self.typical_m) or PLAUSIBLE_M[0] <= self.typical_m <= PLAUSIBLE_M[1]
        )


def decode_depth(message: Any, max_pixels: int = MAX_PIXELS, unit_m: float = 0.0) -> DepthImage:
    """Decode a sensor_msgs Image or CompressedImage (compressedDepth), of rclpy or rosbags.

    max_pixels: larger images are refused (too_large) before anything is allocated for them.
    unit_m: metres per unit of 16UC1 or mono16, such as 0.0001 for a RealSense D405; 0: millimetres.
    Raises ImageError unknown_encoding, empty_image, too_large, wrong_step, truncated_data or corrupt_image;
    ValueError for a unit that is negative or not finite.
    """
    if not 0 <= unit_m < math.inf:
        raise ValueError(f"unit_m is {unit_m}; give metres such as 0.001, or 0 for millimetres")
    whole_m = unit_m or _MILLIMETRE
    stamp_ns, frame_id = stamp_to_ns(message.header.stamp), message.header.frame_id
    if not hasattr(message, "encoding"):
        values = _decompress(bytes(message.data), message.format, max_pixels)
        return DepthImage(values, stamp_ns, frame_id, whole_m if values.dtype.kind == "u" else 1.0)
    if message.encoding not in _VALUES:
        raise ImageError(
            "unknown_encoding",
            f"depth encoding '{printable(message.encoding)}' is not supported; set the depth topic to one "
            "with 32FC1 (metres) or 16UC1 (millimetres)",
        )
    kind = _VALUES[message.encoding]
    check_size(message.height, message.width, max_pixels)
    dtype = np.dtype((">" if message.is_bigendian else "<") + kind)
    buffer, shape = np.frombuffer(message.data, np.uint8), (message.height, message.width)
    values = view_rows(buffer, message.encoding, shape, dtype, message.step)
    return DepthImage(values, stamp_ns, frame_id, whole_m if kind == "u2" else 1.0)


def _decompress(data: bytes, format: str, max_pixels: int) -> NDArray[Any]:
    """Decode a compressedDepth image to its uint16 values, or to float32 metres.

    A 12-byte header precedes the PNG. 16UC1 is stored unchanged, 32FC1 as quantised inverse depth:
    depth = A / (value - B), 0 invalid. Source: compressed_depth_image_transport, codec.cpp.
    """
    original, _, transport = (part.strip() for part in format.partition(";"))
    headerless = data.startswith(PNG_SIGNATURE)
    _check_format(data, original, format)
    if not headerless:
        _check_transport(data, transport, format)
    elif original == "32FC1":
        raise ImageError(
            "corrupt_image",
            f"compressed depth '{printable(format)}' is a PNG without the 12-byte header that says what its "
            "values mean; publish 16UC1, or with compressed_depth_image_transport",
        )
    file = data if headerless else data[_HEADER.size :]
    values = decode_file(file, max_pixels)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ImageError(
            "corrupt_image",
            f"compressed depth is not 16-bit grey PNG ({values.shape[1]}x{values.shape[0]}, {len(file)} B); "
            "check the publisher",
        )
    if original != "32FC1":
        return values
    _, a, b = _HEADER.unpack_from(data)
    if not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise ImageError(
            "corrupt_image", f"compressed depth has quantisation A = {a}, B = {b}; check the publisher"
        )
    return _from_inverse(values, a, b)


def _check_format(data: bytes, original: str, format: str) -> None:
    """Raise ImageError for other file types, and for formats that do not name depth."""
    for starts, name in (((JPEG_START,), "JPEG, which loses depth"), (_TIFF_STARTS, "TIFF")):
        if data.startswith(starts):
            raise ImageError(
                "unknown_encoding",
                f"depth image '{printable(format)}' is a {name}; set the publisher's format to png",
            )
    if original not in (*_VALUES, "png", "PNG", ""):
        raise ImageError(
            "unknown_encoding",
            f"format '{printable(format)}' is not a depth image; subscribe to the depth camera's "
            "'compressedDepth' topic, or to its 16-bit PNG",
        )


def _check_transport(data: bytes, transport: str, format: str) -> None:
    """Raise ImageError unless the data are compressedDepth's header followed by a PNG."""
    if transport.endswith("rvl"):
        raise ImageError(
            "unknown_encoding",
            f"format '{printable(format)}' is not supported; set the publisher's format to png",
        )
    if len(data) <= _HEADER.size:
        raise ImageError(
            "truncated_data", f"compressed depth has {len(data)} bytes and no image; check the publisher"
        )
    if not data.startswith(PNG_SIGNATURE, _HEADER.size):
        raise ImageError(
            "unknown_encoding",
            f"compressed depth '{printable(format)}' has no PNG after its {_HEADER.size}-byte header, but "
            f"{data[_HEADER.size : _HEADER.size + 8].hex(' ')}; set the publisher's format to png",
        )


def _from_inverse(values: NDArray[np.uint16], a: float, b: float) -> NDArray[np.float32]:
    with np.errstate(divide="ignore"):
        metres = (a / (np.arange(65536) - b)).astype(np.float32)
    metres[0] = 0
    return metres[values]
