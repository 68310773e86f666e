# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Enlarging of a mask to the image's size, only inside a window.

The weights are those of PyTorch's `interpolate`, which computes whole images only; results differ by rounding
in the seventh digit.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.untrusted.size_cache import size_cache


class Window(NamedTuple):
    """Rows top … bottom-1 and columns left … right-1 of an image."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, image: Tensor) -> Tensor:
        """Return the window's part of an image (H, W) as a view."""
        return image[self.top : self.bottom, self.left : self.right]

    def joined(self, other: "Window") -> "Window":
        """Return the smallest window that holds both."""
        return Window(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )


def enlarge(mask: Tensor, image_size: tuple[int, int], window: Window, antialias: bool) -> Tensor:
    """Resize float (h, w) to (H, W) and return the window's part; (0, 0) for an empty window."""
    if window.top >= window.bottom:
        return mask.new_zeros((0, 0))
    if window == (0, image_size[0], 0, image_size[1]) or not grows(mask, image_size):
        whole = F.interpolate(
            mask[None, None], size=image_size, mode="bilinear", align_corners=False, antialias=antialias
        )
        return window.of(whole[0, 0])
    upper, lower, above, below = _taps(mask.shape[0], image_size[0], antialias)
    start, end, before, after = _taps(mask.shape[1], image_size[1], antialias)
    rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
    first, last = int(upper[rows][0]), int(lower[rows][-1]) + 1
    part = mask[first:last]
    wide = part.index_select(1, start[columns]) * before[columns]
    wide.addcmul_(part.index_select(1, end[columns]), after[columns])
    tall = wide.index_select(0, upper[rows] - first).mul_(above[rows, None])
    return tall.addcmul_(wide.index_select(0, lower[rows] - first), below[rows, None])


def grows(mask: Tensor, image_size: tuple[int, int]) -> bool:
    """Whether each pixel of the image lies between two of the mask's, as `_taps` requires."""
    return mask.shape[0] <= image_size[0] and mask.shape[1] <= image_size[1]


@size_cache(entries=64, longest=1 << 14)
def _taps(before: int, after: int, antialias: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return, for each of `after` pixels, its two neighbours among `before` pixels and their weights."""
    rows = torch.eye(before)[None, None]
    weights = F.interpolate(
        rows, size=(after, before), mode="bilinear", align_corners=False, antialias=antialias
    )[0, 0]
    low = (weights != 0).to(torch.uint8).argmax(1)
    high = (low + 1).clamp(max=before - 1)
    places = torch.arange(after)
    high_weights = weights[places, high] * (high != low)
    return low, high, weights[places, low], high_weights
