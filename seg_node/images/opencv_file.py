# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""JPEG and PNG files decoded by OpenCV, which trusts their headers: check those first."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.images.buffer import ImageError


def decode_by_opencv(file: bytes, what: str) -> NDArray[Any]:
    """Decode to uint8 or uint16, (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA; EXIF is ignored.

    what: names the file in the error.
    Raises ImageError corrupt_image.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ImageError(
            "corrupt_image", f"{what} ({len(file)} bytes) cannot be decoded; check the publisher"
        )
    return np.asarray(pixels)
