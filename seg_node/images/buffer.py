# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes of a camera message as rows of pixels, and the error that every refused image raises."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seg_node.errors import Refused

Reason = Literal[
    "unknown_encoding",
    "depth_image",
    "empty_image",
    "too_large",
    "bad_size",
    "wrong_step",
    "truncated_data",
    "corrupt_image",
    "awaiting_key_frame",
]

MAX_PIXELS = 64_000_000  # above any camera in the field; bounds what one message can allocate
MAX_SIDE = 65_535  # the limit of JPEG; bounds what models keep per row or column


class ImageError(Refused, ValueError):
    """An image that cannot be decoded."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(reason, text)


def stamp_to_ns(stamp: Any) -> int:
    """Convert a builtin_interfaces Time, of rclpy or rosbags, to nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def check_size(height: int, width: int, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ImageError empty_image or too_large unless there are 1 to max_pixels pixels, MAX_SIDE a side.

    Call it with the size that a message or file declares, before anything is allocated.
    """
    if height < 1 or width < 1:
        raise ImageError(
            "empty_image", f"image is {width}x{height} (width x height): it has no pixels; check the driver"
        )
    if height * width > max_pixels:
        raise ImageError(
            "too_large",
            f"image is {width}x{height}, over max_pixels ({max_pixels / 1e6:g} megapixels); "
            "set a smaller resolution in the driver, or raise max_pixels",
        )
    if max(height, width) > MAX_SIDE:
        raise ImageError(
            "too_large", f"image is {width}x{height}, over {MAX_SIDE} pixels per side; check the driver"
        )


def view_rows(
    buffer: NDArray[np.uint8],
    encoding: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    step: int,
    offset: int = 0,
) -> NDArray[Any]:
    """View rows that start `step` bytes apart, from byte `offset` on, without copying.

    buffer: (N,) contiguous. shape: (H, W) or (H, W, C) of the result.
    step: bytes from one row to the next. The last row's padding may be missing; extra bytes may follow.
    Raises ImageError wrong_step or truncated_data.
    """
    pixel_bytes = dtype.itemsize * (shape[2] if len(shape) == 3 else 1)
    row_bytes = shape[1] * pixel_bytes
    if step < row_bytes:
        raise ImageError(
            "wrong_step",
            f"step is {step}, but a row of {shape[1]} pixels in encoding '{encoding}' is {row_bytes} bytes; "
            "set the driver's step to the bytes of a whole row",
        )
    needed = offset + (shape[0] - 1) * step + row_bytes
    if buffer.size < needed:
        raise ImageError(
            "truncated_data",
            f"data has {buffer.size} bytes, but encoding '{encoding}' with step {step} needs {needed}; "
            "check height, step and encoding in the driver",
        )
    strides = (step, pixel_bytes, dtype.itemsize)[: len(shape)]
    return np.ndarray(shape, dtype, buffer, offset, strides)
