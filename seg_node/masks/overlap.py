# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Overlap of masks, compared only where their regions of interest intersect."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seg_node.types import MaskCrop


def intersection_areas(first: Sequence[MaskCrop], second: Sequence[MaskCrop]) -> NDArray[np.int64]:
    """(N, M): pixels that each of N masks has in common with each of M."""
    shared = np.zeros((len(first), len(second)), np.int64)
    a, b = bounds_xyxy(first), bounds_xyxy(second)
    low = np.maximum(a[:, None, :2], b[:, :2])
    high = np.minimum(a[:, None, 2:], b[:, 2:])
    for i, j in np.argwhere((low < high).all(axis=2)).tolist():
        (left, top), (right, bottom) = low[i, j].tolist(), high[i, j].tolist()
        x, y, u, v = first[i].x_offset, first[i].y_offset, second[j].x_offset, second[j].y_offset
        one = first[i].pixels[top - y : bottom - y, left - x : right - x]
        other = second[j].pixels[top - v : bottom - v, left - u : right - u]
        shared[i, j] = np.count_nonzero(one & other)
    return shared


def mask_ious(
    shared: NDArray[np.int64], first_areas: NDArray[np.int64], second_areas: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(N, M): intersection over union, 0 to 1, from `intersection_areas` and the areas (N,) and (M,)."""
    union = first_areas[:, None] + second_areas - shared
    return shared / np.maximum(union, 1)  # 0 for two empty masks


def mask_areas(masks: Sequence[MaskCrop]) -> NDArray[np.int64]:
    """(N,): the number of pixels of each mask."""
    return np.array([mask.area for mask in masks], np.int64)


def bounds_xyxy(masks: Sequence[MaskCrop]) -> NDArray[np.int64]:
    """(N, 4): the masks' regions of interest, half-open: x_min, y_min, x_max, y_max."""
    rois = [mask.roi for mask in masks]
    bounds = [(r.x_offset, r.y_offset, r.x_offset + r.width, r.y_offset + r.height) for r in rois]
    return np.array(bounds, np.int64).reshape(-1, 4)
