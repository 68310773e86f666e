"""Depth in metres from sensor_msgs/Image and from compressedDepth images. No ROS.

    32FC1           metres
    16UC1, mono16   millimetres
    CompressedImage "32FC1; compressedDepth png" or "16UC1; compressedDepth png", as
                    compressed_depth_image_transport writes them; or without the codec's name

(REP-118.) 0, negative values, NaN, Inf and what is farther than FARTHEST are no measurement.
"""

import math
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.image_buffer import ImageError, check_size, stamp_to_ns, view_rows
from seg_node.image_headers import read_header
from seg_node.types import Roi

FARTHEST = 1e5  # metres; more are bytes of something else, and their squares leave float32
_MILLIMETRE = 0.001
_VALUES = {"32FC1": ("f4", 1.0), "16UC1": ("u2", _MILLIMETRE), "mono16": ("u2", _MILLIMETRE)}
# ConfigHeader of compressed_depth_image_transport: enum format, float depthParam[2]; this machine's padding.
_CONFIG = struct.Struct("<iff")


@dataclass(frozen=True)
class DepthImage:
    """Depth along the optical axis, kept as it came: only what is looked at is converted.

    values: (H, W) uint16 or float32 of any byte order, may be a view of the message's bytes.
    stamp_ns, frame_id: of the source header. metres_per_value: 1, or 0.001 for millimetres.
    """

    values: NDArray[Any]
    stamp_ns: int = 0
    frame_id: str = ""
    metres_per_value: float = 1.0

    @property
    def image_size(self) -> tuple[int, int]:
        return self.values.shape[0], self.values.shape[1]

    @cached_property
    def metres(self) -> NDArray[np.float32]:
        """The whole image: float32 (H, W), NaN where there is no measurement."""
        return self.crop(Roi(0, 0, self.values.shape[1], self.values.shape[0]))

    def crop(self, roi: Roi, stride: int = 1) -> NDArray[np.float32]:
        """Every stride-th row and column of the rectangle, which is in the image: float32, NaN invalid."""
        values = self.values[
            roi.y_offset : roi.y_offset + roi.height : stride,
            roi.x_offset : roi.x_offset + roi.width : stride,
        ]
        metres = values.astype(np.float32)
        with np.errstate(invalid="ignore"):  # a signalling NaN is one more pixel without a measurement
            metres[~((metres > 0) & (metres < FARTHEST))] = np.nan
        if self.metres_per_value != 1.0:
            metres *= np.float32(self.metres_per_value)
        return metres


def decode_depth(message: Any) -> DepthImage:
    """The depth of a sensor_msgs Image or CompressedImage (compressedDepth), whichever library read it.

    Raises ImageError when the message holds no depth image: unknown_encoding, empty_image, too_large,
    wrong_step, truncated_data, corrupt_image.
    """
    stamp_ns, frame_id = stamp_to_ns(message.header.stamp), message.header.frame_id
    if not hasattr(message, "encoding"):
        values, unit = _decompress(bytes(message.data), message.format)
        return DepthImage(values, stamp_ns, frame_id, unit)
    if message.encoding not in _VALUES:
        raise ImageError(
            "unknown_encoding",
            f"depth encoding '{message.encoding}' is not supported; set the depth topic to one with "
            "32FC1 (metres) or 16UC1 (millimetres)",
        )
    kind, unit = _VALUES[message.encoding]
    check_size(message.height, message.width)
    dtype = np.dtype((">" if message.is_bigendian else "<") + kind)
    buffer, shape = np.frombuffer(message.data, np.uint8), (message.height, message.width)
    values = view_rows(buffer, message.encoding, shape, dtype, message.step)
    return DepthImage(values, stamp_ns, frame_id, unit)


def _decompress(data: bytes, format: str) -> tuple[NDArray[Any], float]:
    """(values, metres per value) of a compressedDepth image.

    A 12-byte header goes before the PNG. 16UC1 is stored as it is; 32FC1 as quantised inverse depth:
    depth = A / (value - B), 0 invalid. Source: compressed_depth_image_transport, codec.cpp.
    """
    original, _, transport = (part.strip() for part in format.partition(";"))
    if original not in ("16UC1", "32FC1", "mono16") or not transport.startswith("compressedDepth"):
        raise ImageError(
            "unknown_encoding",
            f"format '{format}' is not a compressed depth image; subscribe to the depth camera's "
            "'compressedDepth' topic",
        )
    if len(data) <= _CONFIG.size:
        raise ImageError(
            "truncated_data", f"compressed depth has {len(data)} bytes, no picture; check the publisher"
        )
    _, a, b = _CONFIG.unpack_from(data)
    file = data[_CONFIG.size :]
    if transport.endswith("rvl"):
        raise ImageError(
            "unknown_encoding", f"format '{format}' is not read here; set the publisher's format to png"
        )
    codec, height, width = read_header(file)
    check_size(height, width)
    values = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED) if codec == "png" else None
    if values is None or values.dtype != np.uint16 or values.ndim != 2:
        raise ImageError(
            "corrupt_image",
            f"compressed depth ({width}x{height}, {len(file)} B) is no 16 bit grey PNG; check the publisher",
        )
    if original != "32FC1":
        return values, _MILLIMETRE
    if not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise ImageError(
            "corrupt_image", f"compressed depth has quantisation A = {a}, B = {b}; check the publisher"
        )
    return _from_inverse(values, a, b), 1.0


def _from_inverse(values: NDArray[np.uint16], a: float, b: float) -> NDArray[np.float32]:
    with np.errstate(divide="ignore"):
        metres = (a / (np.arange(65536) - b)).astype(np.float32)
    metres[0] = 0
    return metres[values]
