# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""JPEG and PNG files from messages."""

from typing import Any

from numpy.typing import NDArray

from seg_node.images.buffer import MAX_PIXELS, ImageError
from seg_node.images.jpeg_file import JPEG_START, decode_jpeg
from seg_node.images.png_file import PNG_SIGNATURE, decode_png


def decode_file(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """Decode a whole JPEG or PNG file, recognised by its first bytes.

    Returns uint8 or uint16, (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA. EXIF orientation is ignored.
    Raises ImageError: unknown_encoding (another file type), empty_image, too_large, truncated_data,
    corrupt_image.
    """
    if data.startswith(PNG_SIGNATURE):
        return decode_png(data, max_pixels)
    if data.startswith(JPEG_START):
        return decode_jpeg(data, max_pixels)
    raise ImageError(
        "unknown_encoding",
        f"compressed data starts with {data[:8].hex(' ')}, which is neither JPEG nor PNG; "
        "set the publisher's compressed format to jpeg or png",
    )
