# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask probabilities on a small grid over each box → masks at image resolution, cropped to the box."""

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from seg_node.masks.crop import tight_crop
from seg_node.types import MaskCrop

# OpenCV enlarges ten times faster than PyTorch, but not bit-identically: they differ by up to 5e-6 (measured)
_TOLERANCE = 1e-5
# PyTorch's formula in numpy differs by 7e-7 (measured), or 1.5e-6 if its build uses fused multiply-add
_FORMULA_TOLERANCE = 1.6e-6


def paste_masks(
    mask_probs: Tensor, boxes_xyxy: Tensor, image_size: tuple[int, int], threshold: float
) -> list[MaskCrop]:
    """Paste masks into their boxes; return each object's pixels in their smallest bounding rectangle.

    mask_probs: (N, M, M) float on the CPU. boxes_xyxy: (N, 4) float, pixels of the image,
    may reach beyond it.
    threshold: a pixel belongs to the object at or above it.
    An object without visible pixels gets a crop of (0, 0).
    Source: torchvision `models/detection/roi_heads.py: paste_masks_in_image`, the same pixels.
    """
    grid = mask_probs.shape[-1]
    padded = np.zeros((len(mask_probs), grid + 2, grid + 2), np.float32)
    padded[:, 1:-1, 1:-1] = mask_probs.numpy()
    corners = _enlarge(boxes_xyxy.numpy(), (grid + 2) / grid).astype(np.int64)
    sizes = (corners[:, 3:] - corners[:, 1:2] + 1) * (corners[:, 2:3] - corners[:, :1] + 1)
    # shared by all: allocating one per object would double the time
    buffer = np.empty(sizes.max(initial=0), np.float32)
    return [
        _paste(probs, box, image_size, threshold, buffer)
        for probs, box in zip(padded, corners.tolist(), strict=True)
    ]


def _enlarge(boxes: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    half_width = (boxes[:, 2] - boxes[:, 0]) * 0.5 * factor
    half_height = (boxes[:, 3] - boxes[:, 1]) * 0.5 * factor
    x = (boxes[:, 2] + boxes[:, 0]) * 0.5
    y = (boxes[:, 3] + boxes[:, 1]) * 0.5
    return np.stack((x - half_width, y - half_height, x + half_width, y + half_height), axis=1)


def _paste(
    probs: NDArray[np.float32],
    box: list[int],
    image_size: tuple[int, int],
    threshold: float,
    buffer: NDArray[np.float32],
) -> MaskCrop:
    """Paste one mask. box: corners in whole pixels, the last column and row included.

    buffer: at least as many values as the box has pixels.
    """
    x_min, y_min, x_max, y_max = box
    top, bottom = max(y_min, 0), min(y_max + 1, image_size[0])
    left, right = max(x_min, 0), min(x_max + 1, image_size[1])
    if top >= bottom or left >= right:
        return MaskCrop.empty()
    height, width = y_max - y_min + 1, x_max - x_min + 1
    whole = buffer[: height * width].reshape(height, width)
    cv2.resize(probs, (width, height), whole, interpolation=cv2.INTER_LINEAR)
    visible = whole[top - y_min : bottom - y_min, left - x_min : right - x_min]
    mask = visible >= threshold - _TOLERANCE
    crop = tight_crop(mask, left, top)
    if np.count_nonzero(visible >= threshold + _TOLERANCE) == crop.area:
        return crop
    undecided = np.flatnonzero(mask & (visible < threshold + _TOLERANCE))  # ten times faster than 2D nonzero
    rows, columns = np.divmod(undecided, mask.shape[1])
    mask[rows, columns] = _exact(
        probs, (height, width), rows + (top - y_min), columns + (left - x_min), threshold
    )
    return tight_crop(mask, left, top)


def _exact(
    probs: NDArray[np.float32],
    size: tuple[int, int],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    threshold: float,
) -> NDArray[np.bool_]:
    """Test whether pixels of PyTorch's enlargement of `probs` to `size` reach the threshold: bool (K,)."""
    above, below, down = _neighbours(rows, probs.shape[0], size[0])
    left, right, across = _neighbours(columns, probs.shape[1], size[1])
    upper = (1 - across) * probs[above, left] + across * probs[above, right]
    lower = (1 - across) * probs[below, left] + across * probs[below, right]
    values = (1 - down) * upper + down * lower
    if (np.abs(values - threshold) < _FORMULA_TOLERANCE).any():
        enlarged = F.interpolate(
            torch.from_numpy(probs)[None, None], size=size, mode="bilinear", align_corners=False
        )
        values = enlarged[0, 0].numpy()[rows, columns]
    return np.asarray(values >= threshold)


def _neighbours(
    pixels: NDArray[np.intp], grid: int, size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the two grid cells around each pixel's centre, and the weight of the second."""
    places = (pixels.astype(np.float32) + np.float32(0.5)) * (np.float32(grid) / np.float32(size))
    places = np.maximum(places - np.float32(0.5), np.float32(0))
    first = np.minimum(places.astype(np.intp), grid - 1)
    return first, np.minimum(first + 1, grid - 1), (places - first.astype(np.float32))


def paste_sampled_masks(
    mask_probs: Tensor, boxes_xyxy: Tensor, image_size: tuple[int, int], threshold: float
) -> list[MaskCrop]:
    """Paste masks like `paste_masks`, but sample the probability at pixel centres, 0 beyond the grid.

    boxes_xyxy: with sides above 0.
    Source: Detectron2 `layers/mask_ops.py: paste_masks_in_image`, the same pixels.
    """
    return [
        _paste_sampled(probs, box, image_size, threshold)
        for probs, box in zip(mask_probs, boxes_xyxy.numpy(), strict=True)
    ]


def _paste_sampled(
    probs: Tensor, box: NDArray[np.float32], image_size: tuple[int, int], threshold: float
) -> MaskCrop:
    left, top = (max(math.floor(edge) - 1, 0) for edge in box[:2])
    right, bottom = math.ceil(box[2]) + 1, math.ceil(box[3]) + 1
    x = _grid_places(left, min(right, image_size[1]), box[0], box[2])
    y = _grid_places(top, min(bottom, image_size[0]), box[1], box[3])
    if len(x) == 0 or len(y) == 0:
        return MaskCrop.empty()
    places = torch.stack((x.expand(len(y), -1), y[:, None].expand(-1, len(x))), dim=2)
    sampled = F.grid_sample(probs[None, None], places[None], mode="bilinear", align_corners=False)[0, 0]
    return tight_crop(sampled.numpy() >= threshold, left, top)


def _grid_places(start: int, end: int, low: np.float32, high: np.float32) -> Tensor:
    """Map the centres of the pixels start … end-1 to coordinates in which the box spans -1 to 1."""
    centres = np.arange(start, end, dtype=np.float32) + np.float32(0.5)
    with np.errstate(over="ignore"):  # the pixels beside a box of almost no width lie infinitely far away
        return torch.from_numpy((centres - low) / (high - low) * 2 - 1)
