# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YUV camera encodings to BGR: ITU-R BT.601, limited range (Y 16…235), as in OpenCV and cv_bridge."""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.images.buffer import ImageError, view_rows

# Encoding → OpenCV's conversion; yuv422 and yuv422_yuy2 are ROS's older names.
PACKED_422 = {
    "uyvy": cv2.COLOR_YUV2BGR_UYVY,
    "yuv422": cv2.COLOR_YUV2BGR_UYVY,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUY2,
}
SEMI_PLANAR_420 = {"nv12": cv2.COLOR_YUV2BGR_NV12, "nv21": cv2.COLOR_YUV2BGR_NV21}
YUV_ENCODINGS = (*PACKED_422, *SEMI_PLANAR_420, "nv24")

# Rows B, G, R; columns Y, U, V, 1. ITU-R BT.601: Y - 16 spans 219, U - 128 and V - 128 span 224.
_Y, _VR, _UG, _VG, _UB = 255 / 219, 1.59603, -0.39176, -0.81297, 2.01723
_BGR_FROM_YUV = np.array(
    [
        [_Y, _UB, 0, -16 * _Y - 128 * _UB],
        [_Y, _UG, _VG, -16 * _Y - 128 * (_UG + _VG)],
        [_Y, 0, _VR, -16 * _Y - 128 * _VR],
    ],
    np.float32,
)


def decode_yuv(
    buffer: NDArray[np.uint8], height: int, width: int, encoding: str, step: int
) -> NDArray[np.uint8]:
    """Convert an image in one of YUV_ENCODINGS to BGR, uint8 (H, W, 3).

    step: bytes from one row of Y (4:2:2: of pixels) to the next. UV rows of nv12 and nv21 are `step` bytes
    apart too, those of nv24 2 * step (the V4L2 layout).
    Raises ImageError bad_size, wrong_step or truncated_data.
    """
    byte = np.dtype(np.uint8)
    if encoding in PACKED_422:
        _check_even(encoding, width=width)
        pairs = view_rows(buffer, encoding, (height, width, 2), byte, step)
        bgr = cv2.cvtColor(pairs, PACKED_422[encoding])
    elif encoding in SEMI_PLANAR_420:
        _check_even(encoding, width=width, height=height)
        planes = view_rows(buffer, encoding, (height * 3 // 2, width), byte, step)
        bgr = cv2.cvtColor(planes, SEMI_PLANAR_420[encoding])
    else:
        y = view_rows(buffer, encoding, (height, width), byte, step)
        uv = view_rows(buffer, encoding, (height, width, 2), byte, 2 * step, offset=step * height)
        yuv = np.empty((height, width, 3), np.uint8)
        cv2.mixChannels([y, uv], [yuv], [0, 0, 1, 1, 2, 2])
        bgr = cv2.transform(yuv, _BGR_FROM_YUV)
    return np.asarray(bgr, np.uint8)


def _check_even(encoding: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if size % 2:
            raise ImageError(
                "bad_size",
                f"{name} is {size}, but encoding '{encoding}' shares colour between pairs of pixels; "
                f"set an even {name}",
            )
