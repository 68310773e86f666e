"""A mask of part of an image → the smallest crop with all its pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.types import MaskCrop


def tight_crop(mask: NDArray[np.bool_], left: int = 0, top: int = 0) -> MaskCrop:
    """mask: bool (h, w), its first pixel at (left, top) of the image. Without pixels: a crop of (0, 0)."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return MaskCrop.empty()
    # a copy, so that a small object does not keep a large mask in memory
    return MaskCrop(left + x, top + y, np.ascontiguousarray(mask[y : y + height, x : x + width]))
