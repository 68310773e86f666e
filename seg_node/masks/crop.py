# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Crop a mask to the bounding box of its pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.types import MaskCrop, Roi


def tight_crop(mask: NDArray[np.bool_], left: int = 0, top: int = 0) -> MaskCrop:
    """Crop a mask, bool (h, w), with its first pixel at (left, top) of the image; without pixels to 0 x 0."""
    roi = tight_roi(mask)
    if roi.width == 0:
        return MaskCrop.empty()
    # a copy, so that a small object does not keep a large mask in memory
    return MaskCrop(left + roi.x_offset, top + roi.y_offset, np.ascontiguousarray(mask[roi.slices]))


def tight_roi(mask: NDArray[np.bool_]) -> Roi:
    """The bounding box of the pixels of a mask, bool (h, w); 0 x 0 without pixels."""
    return Roi(*cv2.boundingRect(mask.view(np.uint8)))
