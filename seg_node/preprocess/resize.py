"""Pillow's and OpenCV's bilinear resizing of whole grey levels, as tensor functions for any device.

Both calculate in whole numbers that fit into int32, so the results here are theirs to the last bit. As a GPU
multiplies no integer matrices, each tap of a filter is one gather and one multiplication.
Indices and weights are made once for each pair of sizes and stay on the device: only the first call for a
size waits for it; later ones may be captured in a CUDA graph. Those of images over 16384 pixels a side do not
stay.
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
_MOST_KEPT = 1 << 14  # pixels a side whose taps are kept: 0.6 MB a size at most

Taps = list[tuple[Tensor, Tensor]]
"""Of the first, second … input pixel in each of n output pixels: its index, int64 (n,), and its weight, int32
(n, 1) or (n, 1, 1)."""


def resize_pillow(images: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 (N, H, W, C) → uint8 (N, *size, C) as `PIL.Image.resize` with BILINEAR gives them."""
    rows_first = _pillow_starts_with_rows(tuple(images.shape[1:3]), size)
    return _two_passes(images, size, rows_first)


def resize_opencv(images: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 (N, H, W, C) → uint8 (N, *size, C) as `cv2.resize` with INTER_LINEAR gives them."""
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
            # no weight is below 0 and their sum is 2²² but for rounding: nothing exceeds 255
            images = (total >> _PILLOW_BITS).to(torch.uint8)
    return images


def _tap(images: Tensor, dim: int, tap: tuple[Tensor, Tensor]) -> Tensor:
    index, weight = tap
    return images.index_select(dim, index) * weight


@size_cache(entries=64, longest=_MOST_KEPT)
def _pillow_taps(before: int, after: int, dim: int, device: torch.device) -> Taps:
    scale = before / after
    reach = max(scale, 1.0)
    centre = (np.arange(after) + 0.5) * scale
    start = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + reach + 0.5).astype(np.int64), before)
    index = start + np.arange((end - start).max())[:, None]  # (taps, after)
    weight = 1 - np.abs((index - centre + 0.5) * (1 / reach))
    weight = np.where(index < end, np.maximum(weight, 0), 0)
    weight /= np.add.accumulate(weight)[-1]  # in Pillow's order: a last bit can count
    whole = (weight * (1 << _PILLOW_BITS) + 0.5).astype(np.int32)
    return _taps(np.minimum(index, before - 1), whole, dim, device)


@size_cache(entries=64, longest=_MOST_KEPT)
def _opencv_taps(before: int, after: int, dim: int, device: torch.device) -> Taps:
    scale = 1 / (after / before)  # OpenCV's way to before / after: a last bit can count
    place = ((np.arange(after) + 0.5) * scale - 0.5).astype(np.float32)
    start = np.floor(place).astype(np.int64)
    fraction = place - start.astype(np.float32)
    if dim == _COLUMNS:
        fraction[(start < 0) | (start >= before - 1)] = 0
    one = np.float32(1 << _OPENCV_BITS)
    weight = np.rint(np.stack([(1 - fraction) * one, fraction * one])).astype(np.int32)
    return _taps(np.clip(np.stack([start, start + 1]), 0, before - 1), weight, dim, device)


def _taps(index: NDArray[np.int64], weight: NDArray[np.int32], dim: int, device: torch.device) -> Taps:
    """index, weight: (taps, n). The weights get the shape that fits the dimension `dim` of the images."""
    weight = weight.reshape(*weight.shape, *([1] * (3 - dim)))
    return list(zip(torch.from_numpy(index).to(device), torch.from_numpy(weight).to(device), strict=True))


@lru_cache(maxsize=64)
def _pillow_starts_with_rows(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether the installed Pillow resizes rows first; which images it does so with depends on its version.

    Asked once a size, with grey noise on which the orders differ. Columns come first unless the height
    shrinks.
    """
    if after[0] >= before[0] or after[1] == before[1]:
        return False
    random = np.random.default_rng(0)
    for _ in range(100):  # one is enough unless the image is tiny
        noise = Image.fromarray(random.integers(0, 256, before, np.uint8))
        by_rows = _grey(_grey(noise, (after[0], before[1])), after)
        by_columns = _grey(_grey(noise, (before[0], after[1])), after)
        if by_rows != by_columns:
            return _grey(noise, after) == by_rows
    return False  # they never differ


def _grey(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size[::-1], Image.Resampling.BILINEAR)
