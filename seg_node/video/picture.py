# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a video in the stream's own colours, and their conversion to BGR."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_node.images.buffer import MAX_PIXELS, ImageError, check_size

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG: 0 … 255 instead of 16 … 235


@dataclass(frozen=True)
class Picture:
    """A decoded picture. token: of its packet. frame: PyAV's."""

    token: Any
    frame: Any

    def to_bgr(self, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
        """Convert to uint8 (H, W, 3) with the matrix and the range that the stream states.

        A stream that states none is BT.601 of limited range, as ffmpeg_image_transport's encoder makes it.
        Raises ImageError: empty_image, too_large, unknown_encoding (colours that FFmpeg cannot convert).
        """
        from av.video.reformatter import ColorRange

        frame = self.frame
        check_size(frame.height, frame.width, max_pixels)
        is_full = int(frame.color_range) == _FULL_RANGE  # FFmpeg itself knows its yuvj formats
        try:
            bgr: NDArray[np.uint8] = frame.to_ndarray(
                format="bgr24",
                src_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                threads=1,
            )
        except Exception as error:  # of the library: many types, such as OSError for the matrix YCgCo
            colours = f"pixel format {frame.format.name}, matrix {int(frame.colorspace)} of ITU-T H.273"
            text = f"video has {colours}, which cannot be converted; set the encoder to yuv420p"
            raise ImageError("unknown_encoding", text) from error
        return bgr
