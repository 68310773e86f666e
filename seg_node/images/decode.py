# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Decode sensor_msgs/Image and CompressedImage to uint8 arrays. No ROS.

SUPPORTED_ENCODINGS, with row padding (`step`) and either byte order:

    rgb8 bgr8 rgba8 bgra8 mono8 8UC1 8UC3 8UC4   a view of the message's bytes, not a copy
    rgb16 bgr16 rgba16 bgra16 mono16 16UC3 16UC4 scaled 65535 → 255 and rounded, as cv_bridge does
    16UC1 32FC1                                  the frame's minimum … maximum → 0 … 255
    bayer_{rggb,bggr,gbrg,grbg}{8,16}            demosaiced by OpenCV (bilinear)
    uyvy yuyv yuv422 yuv422_yuy2 nv12 nv21 nv24  seg_node.images.yuv

xUC3 and xUC4 are read as BGR and BGRA, OpenCV's convention. 16UC1 and 32FC1 (depth, thermal) have no fixed
white point: each frame is stretched on its own, and pixels without a measurement (0, NaN, Inf) become 0.
Cameras whose grey values have a fixed meaning should publish mono16 and use all 16 bits.
"""

from array import array
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.images.buffer import MAX_PIXELS, ImageError, check_size, stamp_to_ns, view_rows
from seg_node.images.compressed import decode_file
from seg_node.images.yuv import YUV_ENCODINGS, decode_yuv
from seg_node.types import Channels, Frame
from seg_node.untrusted.printable import printable

ByteData = bytes | bytearray | memoryview | array | NDArray[np.uint8]

# encoding → order of the channels, their number and type
_PACKED: dict[str, tuple[Channels, int, str]] = {
    "bgr8": ("bgr", 3, "u1"),
    "rgb8": ("rgb", 3, "u1"),
    "bgra8": ("bgra", 4, "u1"),
    "rgba8": ("rgba", 4, "u1"),
    "mono8": ("mono", 1, "u1"),
    "8UC1": ("mono", 1, "u1"),
    "8UC3": ("bgr", 3, "u1"),
    "8UC4": ("bgra", 4, "u1"),
    "bgr16": ("bgr", 3, "u2"),
    "rgb16": ("rgb", 3, "u2"),
    "bgra16": ("bgra", 4, "u2"),
    "rgba16": ("rgba", 4, "u2"),
    "mono16": ("mono", 1, "u2"),
    "16UC1": ("mono", 1, "u2"),
    "16UC3": ("bgr", 3, "u2"),
    "16UC4": ("bgra", 4, "u2"),
    "32FC1": ("mono", 1, "f4"),
}
_WITHOUT_WHITE_POINT = frozenset({"16UC1", "32FC1"})
_BAND_PIXELS = 1 << 17  # stretched at a time: 1 MB in float64

# OpenCV's older names (BayerBG …) are shifted by one pixel against ROS's; these agree with them.
_BAYER_TO_BGR = {
    "bayer_rggb": cv2.COLOR_BayerRGGB2BGR,
    "bayer_bggr": cv2.COLOR_BayerBGGR2BGR,
    "bayer_gbrg": cv2.COLOR_BayerGBRG2BGR,
    "bayer_grbg": cv2.COLOR_BayerGRBG2BGR,
}
_BAYER = {f"{pattern}{bits}": dtype for bits, dtype in ((8, "u1"), (16, "u2")) for pattern in _BAYER_TO_BGR}

SUPPORTED_ENCODINGS: tuple[str, ...] = (*_PACKED, *_BAYER, *YUV_ENCODINGS)


def decode_message(message: Any, max_pixels: int = MAX_PIXELS) -> Frame:
    """Decode a sensor_msgs Image or CompressedImage, of rclpy or rosbags, without a copy if possible.

    message: may also have a `picture` of a video beside its header.

    max_pixels: larger images are refused (too_large) before anything is allocated for them.
    Raises ImageError as `decode_image` and `decode_compressed` do.
    """
    pixels: NDArray[np.uint8]
    channels: Channels
    if hasattr(message, "picture"):
        pixels, channels = message.picture.to_bgr(max_pixels), "bgr"
    elif hasattr(message, "encoding"):
        pixels, channels = decode_image(
            message.data,
            message.height,
            message.width,
            message.encoding,
            message.step,
            bool(message.is_bigendian),
            max_pixels,
        )
    else:
        pixels, channels = decode_compressed(message.data, message.format, max_pixels)
    return Frame(pixels, channels, stamp_to_ns(message.header.stamp), message.header.frame_id)


def decode_image(
    data: ByteData,
    height: int,
    width: int,
    encoding: str,
    step: int,
    is_bigendian: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> tuple[NDArray[np.uint8], Channels]:
    """Decode the fields of a sensor_msgs/Image.

    data: at least (height - 1) * step bytes and one more row; further bytes are ignored.
    encoding: one of SUPPORTED_ENCODINGS. step: bytes from one row to the next.
    is_bigendian: byte order of 16-bit and float values.

    Returns (pixels, channels): uint8 (H, W) mono or (H, W, 3 or 4); for 8-bit packed ones a view of `data`.
    Raises ImageError: unknown_encoding, empty_image, too_large, bad_size, wrong_step, truncated_data.
    """
    check_size(height, width, max_pixels)
    buffer = np.frombuffer(data, np.uint8)
    order = ">" if is_bigendian else "<"
    if encoding in _PACKED:
        channels, count, value_type = _PACKED[encoding]
        shape = (height, width) if count == 1 else (height, width, count)
        pixels = view_rows(buffer, encoding, shape, np.dtype(order + value_type), step)
        return _to_uint8(pixels, stretch=encoding in _WITHOUT_WHITE_POINT), channels
    if encoding in _BAYER:
        mosaic = view_rows(buffer, encoding, (height, width), np.dtype(order + _BAYER[encoding]), step)
        return _demosaic(mosaic, encoding), "bgr"
    if encoding in YUV_ENCODINGS:
        return decode_yuv(buffer, height, width, encoding, step), "bgr"
    raise ImageError(
        "unknown_encoding",
        f"encoding '{printable(encoding)}' is not supported; set the camera driver to bgr8 "
        f"(supported: {', '.join(SUPPORTED_ENCODINGS)})",
    )


def decode_compressed(
    data: ByteData, format: str, max_pixels: int = MAX_PIXELS
) -> tuple[NDArray[np.uint8], Channels]:
    """Decode a sensor_msgs/CompressedImage: a JPEG or PNG file, recognised by its first bytes.

    format: as image_transport writes it, "ORIGINAL; CODEC compressed TARGET", or "jpeg", "png" or empty.
    It is used only for grey files, which may hold a bayer mosaic or 16UC1; colours follow the file itself.
    EXIF orientation is ignored, because CameraInfo describes the image as stored in the file.

    Returns (pixels, channels): uint8 (H, W) mono, (H, W, 3) bgr or (H, W, 4) bgra; 16-bit files are scaled.
    Raises ImageError: depth_image (compressedDepth), unknown_encoding (another codec), empty_image,
    too_large, truncated_data, corrupt_image. A JPEG damaged in the middle may decode to a damaged picture.
    """
    if "compressedDepth" in format:
        raise ImageError(
            "depth_image",
            f"format '{printable(format)}' is a depth image, not a colour image; subscribe to the camera's "
            "'compressed' topic instead of 'compressedDepth'",
        )
    if not len(data):
        raise ImageError(
            "truncated_data", f"compressed image '{printable(format)}' has no data; check the publisher"
        )
    pixels = decode_file(bytes(data), max_pixels)
    if pixels.ndim == 3:
        return _to_uint8(pixels), "bgr" if pixels.shape[2] == 3 else "bgra"
    original, _, codec = format.partition(";")
    original, target = original.strip(), codec.partition("compressed")[2].strip()
    # A bayer original with target mono8 was converted to grey by the publisher. With a bayer target, or none
    # (ROS 1), the file holds the mosaic. Source: image_transport_plugins, compressed_publisher.cpp
    if (mosaic := target or original) in _BAYER:
        return _demosaic(pixels, mosaic), "bgr"
    return _to_uint8(pixels, stretch=original in _WITHOUT_WHITE_POINT), "mono"


def _to_uint8(pixels: NDArray[Any], stretch: bool = False) -> NDArray[np.uint8]:
    """Scale 16-bit and float pixels as the module's docstring says; 8-bit ones are returned as they are."""
    if pixels.dtype == np.uint8:
        return pixels
    if stretch:
        return _stretch(pixels)
    eight_bit: NDArray[Any] = cv2.convertScaleAbs(_native(pixels), alpha=255 / 65535)
    return eight_bit


def _native(pixels: NDArray[Any]) -> NDArray[Any]:
    """The pixels in native byte order, contiguous and aligned, as OpenCV requires."""
    return np.require(pixels, pixels.dtype.newbyteorder("="), ["C_CONTIGUOUS", "ALIGNED"])


def _stretch(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Map the measured range to 0 … 255, a single value to 128, pixels without a measurement to 0."""
    pixels = _native(pixels)
    measured = np.isfinite(pixels) & (pixels != 0)
    low, high, _, _ = cv2.minMaxLoc(pixels, mask=measured.view(np.uint8))
    if low == high:
        return measured * np.uint8(128)
    stretched = np.empty(pixels.shape, np.uint8)
    rows = max(1, _BAND_PIXELS // pixels.shape[1])
    for start in range(0, len(pixels), rows):
        band = np.s_[start : start + rows]
        with np.errstate(invalid="ignore"):  # signalling NaNs, which are set to 0 below
            # in float64, because the range of float32 values may overflow float32
            scaled = np.subtract(pixels[band], low, dtype=np.float64)
        scaled *= 255 / (high - low)
        scaled[~measured[band]] = 0
        stretched[band] = np.rint(scaled, out=scaled)
    return stretched


def _demosaic(mosaic: NDArray[Any], encoding: str) -> NDArray[np.uint8]:
    """Convert a bayer mosaic (H, W) to BGR (H, W, 3)."""
    if min(mosaic.shape) < 3:
        raise ImageError(
            "bad_size",
            f"image is {mosaic.shape[1]}x{mosaic.shape[0]}, but encoding '{encoding}' needs at least 3x3; "
            "set a larger resolution",
        )
    return _to_uint8(cv2.cvtColor(_native(mosaic), _BAYER_TO_BGR[encoding.rstrip("0123456789")]))
