# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Windows outside of which a mask cannot own or reach any pixel, found on the masks' small grids.

A pixel's value lies between those of its neighbours on the grid. A mask whose greatest neighbour is below
another's least cannot own the pixel, and one whose greatest neighbour is below a level does not reach it.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seg_node.models.transformers.enlarge import Window, grows

_SLACK = np.float32(1e-6)  # relative, for rounding
_AROUND = np.ones((3, 3), np.uint8)  # holds all neighbours of a pixel, centred on the nearest


def find_windows(
    values: Tensor, levels: Sequence[float], image_size: tuple[int, int], contested: bool
) -> list[Window]:
    """Return for each mask (K, h, w) the rectangle outside of which it cannot reach its level.

    contested: nor have the highest value of all. It is the whole image on a GPU, where the search would cost
    more than it saves, and if the image is smaller than the masks.
    """
    if values.is_cuda or not len(values) or not grows(values[0], image_size):
        return [Window(0, image_size[0], 0, image_size[1])] * len(values)
    grids = list(values.numpy())
    highest = np.full(grids[0].shape, np.inf, np.float32)
    if contested:
        highest = np.max([_below(np.asarray(cv2.erode(grid, _AROUND))) for grid in grids], axis=0)
    windows = []
    for grid, level in zip(grids, levels, strict=True):
        greatest = _above(np.asarray(cv2.dilate(grid, _AROUND)))
        windows.append(_window(greatest >= np.minimum(highest, np.float32(level)), image_size))
    return windows


def _above(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(grid + _SLACK * np.abs(grid), np.float32)


def _below(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(grid - _SLACK * np.abs(grid), np.float32)


def _window(matters: NDArray[np.bool_], image_size: tuple[int, int]) -> Window:
    """Enclose all pixels of the image whose nearest neighbour on the grid is marked."""
    x, y, width, height = cv2.boundingRect(matters.view(np.uint8))
    top, bottom = _pixels(y, y + height, matters.shape[0], image_size[0])
    left, right = _pixels(x, x + width, matters.shape[1], image_size[1])
    return Window(top, bottom, left, right)


def _pixels(first: int, end: int, before: int, after: int) -> tuple[int, int]:
    """Convert grid cells to image pixels, with one more on each side for rounding."""
    if first == end:
        return 0, 0
    return max(first * after // before - 1, 0), min(-(-end * after // before) + 1, after)
