# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Pillow's and OpenCV's bilinear resizing of integer levels, as tensor functions for any device.

Both compute in integers that fit into int32, so results are identical to the last bit. GPUs do not multiply
integer matrices; each filter tap is one gather and one multiplication.
Indices and weights are cached on the device for each pair of sizes: only the first call for a size
synchronises, later ones may be captured in a CUDA graph. Images over 16384 pixels a side are not cached.
Sources: Pillow `src/libImaging/Resample.c`, OpenCV `modules/imgproc/src/resize.cpp`.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seg_node.untrusted.size_cache import size_cache

_ROWS, _COLUMNS = 1, 2  # dimensions of (N, H, W, C)
_PILLOW_BITS = 22
_OPENCV_BITS = 11
_MAX_CACHED_SIDE = 1 << 14  # pixels: bounds the cached taps to 0.6 MB per size

Taps = list[tuple[Tensor, Tensor]]
"""(index, weight) of the first, second … input pixel of n output pixels: int64 (n,), and int32 (n, 1) or
(n, 1, 1)."""


def resize_pillow(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 (N, H, W, C) → (N, *size, C), identical to `PIL.Image.resize` with BILINEAR."""
    rows_first = _pillow_starts_with_rows(tuple(images.shape[1:3]), size)
    return _two_passes(images, size, rows_first)


def resize_opencv(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 (N, H, W, C) → (N, *size, C), identical to `cv2.resize` with INTER_LINEAR."""
    left, right = _opencv_taps(images.shape[2], size[1], _COLUMNS, images.device)
    upper, lower = _opencv_taps(images.shape[1], size[0], _ROWS, images.device)
    wide = (_tap(images, _COLUMNS, left) + _tap(images, _COLUMNS, right)) >> 4
    levels = (_tap(wide, _ROWS, upper) >> 16) + (_tap(wide, _ROWS, lower) >> 16)
    return ((levels + 2) >> 2).to(torch.uint8)


def _two_passes(images: Tensor, size: tuple[int, int], rows_first: bool) -> Tensor:
    for dim in (_ROWS, _COLUMNS) if rows_first else (_COLUMNS, _ROWS):
        before, after = images.shape[dim], size[dim - 1]
        if before != after:
            first, *others = _pillow_taps(before, after, dim, images.device)
            total = _tap(images, dim, first) + (1 << (_PILLOW_BITS - 1))
            for tap in others:
                total += _tap(images, dim, tap)
            # weights are not negative and sum to 2²² up to rounding: no result exceeds 255
            images = (total >> _PILLOW_BITS).to(torch.uint8)
    return images


def _tap(images: Tensor, dim: int, tap: tuple[Tensor, Tensor]) -> Tensor:
    index, weight = tap
    return images.index_select(dim, index) * weight


@size_cache(entries=64, longest=_MAX_CACHED_SIDE)
def _pillow_taps(before: int, after: int, dim: int, device: torch.device) -> Taps:
    scale = before / after
    reach = max(scale, 1.0)
    centre = (np.arange(after) + 0.5) * scale
    start = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + reach + 0.5).astype(np.int64), before)
    index = start + np.arange((end - start).max())[:, None]  # (taps, after)
    weight = 1 - np.abs((index - centre + 0.5) * (1 / reach))
    weight = np.where(index < end, np.maximum(weight, 0), 0)
    weight /= np.add.accumulate(weight)[-1]  # summed in Pillow's order: the last bit matters
    whole = (weight * (1 << _PILLOW_BITS) + 0.5).astype(np.int32)
    return _taps(np.minimum(index, before - 1), whole, dim, device)


@size_cache(entries=64, longest=_MAX_CACHED_SIDE)
def _opencv_taps(before: int, after: int, dim: int, device: torch.device) -> Taps:
    scale = 1 / (after / before)  # as OpenCV computes before / after: the last bit matters
    place = ((np.arange(after) + 0.5) * scale - 0.5).astype(np.float32)
    start = np.floor(place).astype(np.int64)
    fraction = place - start.astype(np.float32)
    if dim == _COLUMNS:
        fraction[(start < 0) | (start >= before - 1)] = 0
    one = np.float32(1 << _OPENCV_BITS)
    weight = np.rint(np.stack([(1 - fraction) * one, fraction * one])).astype(np.int32)
    return _taps(np.clip(np.stack([start, start + 1]), 0, before - 1), weight, dim, device)


def _taps(index: NDArray[np.int64], weight: NDArray[np.int32], dim: int, device: torch.device) -> Taps:
    """Upload index and weight, (taps, n) each; weights are shaped to broadcast along `dim` of the images."""
    weight = weight.reshape(*weight.shape, *([1] * (3 - dim)))
    return list(zip(torch.from_numpy(index).to(device), torch.from_numpy(weight).to(device), strict=True))


@lru_cache(maxsize=64)
def _pillow_starts_with_rows(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether the installed Pillow resizes rows first, which depends on its version and on the sizes.

    Tested once per size, with grey noise on which the orders differ. Columns come first unless the height
    shrinks.
    """
    if after[0] >= before[0] or after[1] == before[1]:
        return False
    random = np.random.default_rng(0)
    for _ in range(100):  # one try is enough unless the image is tiny
        noise = Image.fromarray(random.integers(0, 256, before, np.uint8))
        by_rows = _grey(_grey(noise, (after[0], before[1])), after)
        by_columns = _grey(_grey(noise, (before[0], after[1])), after)
        if by_rows != by_columns:
            return _grey(noise, after) == by_rows
    return False  # the orders never differed


def _grey(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size[::-1], Image.Resampling.BILINEAR)
