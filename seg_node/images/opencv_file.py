"""A JPEG or PNG file by OpenCV. It believes what the file claims: check it first."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.images.buffer import ImageError


def decode_by_opencv(file: bytes, what: str) -> NDArray[Any]:
    """uint8 or uint16, (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA, as the file lies, EXIF ignored.

    what: the file, for the error.
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
