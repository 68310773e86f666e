"""How much masks overlap, looked at only where the regions of interest of two of them do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seg_node.types import MaskCrop


def shared_areas(first: Sequence[MaskCrop], second: Sequence[MaskCrop]) -> NDArray[np.int64]:
    """(N, M): the number of pixels that each of N masks has in common with each of M."""
    shared = np.zeros((len(first), len(second)), np.int64)
    a, b = mask_edges(first), mask_edges(second)
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
    """(N, M): intersection over union, 0 to 1, of `shared_areas` and the masks' areas (N,) and (M,)."""
    union = first_areas[:, None] + second_areas - shared
    return shared / np.maximum(union, 1)  # two empty masks have nothing in common


def mask_areas(masks: Sequence[MaskCrop]) -> NDArray[np.int64]:
    """(N,): pixels of each mask."""
    return np.array([mask.area for mask in masks], np.int64)


def mask_edges(masks: Sequence[MaskCrop]) -> NDArray[np.int64]:
    """(N, 4) of the regions of interest, half-open: x_min, y_min, x_max, y_max."""
    edges = []
    for mask in masks:
        height, width = mask.pixels.shape
        edges.append((mask.x_offset, mask.y_offset, mask.x_offset + width, mask.y_offset + height))
    return np.array(edges, np.int64).reshape(-1, 4)
