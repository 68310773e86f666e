# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Prototypes and coefficients → masks at image resolution.

The reference (its predictor with retina_masks=True) enlarges the mixed prototypes by the smallest whole
factor that makes the letterbox's border whole cells, cuts the border off and resizes the rest to the image.
All steps are linear: each side of the image has one matrix, of which a box needs a part.
"""

import math

import torch
from torch import Tensor

from seg_node.masks.crop import tight_crop
from seg_node.models.assemble.interpolation import interpolation_weights
from seg_node.models.yolo.letterbox import Letterbox
from seg_node.types import MaskCrop
from seg_node.untrusted.size_cache import size_cache

_MASKS_AT_ONCE = 16  # enlarged to whole float images at a time, on a GPU


def enlargement(
    letterbox: Letterbox, grid: tuple[int, int], image_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return matrices from prototype rows to image rows, float (H, h), and for columns, (W, w)."""
    starts = letterbox.top, letterbox.left
    ends = [start + side for start, side in zip(starts, letterbox.resized, strict=True)]
    stride = letterbox.input_size[0] // grid[0]
    common = math.gcd(stride, *starts, *ends)
    rows, columns = (
        _weights(cells, pixels, stride // common, start // common, end // common)
        for cells, pixels, start, end in zip(grid, image_size, starts, ends, strict=True)
    )
    return rows, columns


@size_cache(entries=16, longest=8192)  # 2 for each size of camera image, 5 MB at most
def _weights(cells: int, pixels: int, factor: int, start: int, end: int) -> Tensor:
    """Compute the weight of each cell in each pixel, for an image from start to end of the enlarged cells."""
    return (
        interpolation_weights(end - start, pixels) @ interpolation_weights(cells, cells * factor)[start:end]
    )


def cut_masks(
    prototypes: Tensor,
    coefficients: Tensor,
    boxes_xyxy: Tensor,
    matrices: tuple[Tensor, Tensor],
    threshold: float,
) -> list[MaskCrop]:
    """Compute each object's pixels inside its box, on the CPU.

    prototypes: float (K, h, w). coefficients: float (N, K). boxes_xyxy: float (N, 4), within the image.
    matrices: from `enlargement`. threshold: the probability above which a pixel belongs to the object.
    """
    rows, columns = matrices
    limit = _as_logit(threshold)
    crops = []
    for weights, (left, top, right, bottom) in zip(coefficients, _windows(boxes_xyxy), strict=True):
        if left >= right or top >= bottom:
            crops.append(MaskCrop.empty())
            continue
        of_rows, of_columns = rows[top:bottom], columns[left:right]
        cells = _used_cells(of_rows), _used_cells(of_columns)
        logits = torch.einsum("k,khw->hw", weights, prototypes[:, cells[0], cells[1]])
        enlarged = of_rows[:, cells[0]] @ logits @ of_columns[:, cells[1]].t()
        crops.append(tight_crop((enlarged > limit).numpy(), left, top))
    return crops


def whole_masks(
    prototypes: Tensor,
    coefficients: Tensor,
    boxes_xyxy: Tensor,
    matrices: tuple[Tensor, Tensor],
    threshold: float,
) -> Tensor:
    """Compute the masks of `cut_masks` as whole images, on a device with enough memory: bool (N, H, W)."""
    rows, columns = (matrix.to(prototypes.device) for matrix in matrices)
    masks = torch.empty(
        (len(coefficients), len(rows), len(columns)), dtype=torch.bool, device=prototypes.device
    )
    for some in torch.arange(len(masks)).split(_MASKS_AT_ONCE):
        place = slice(int(some[0]), int(some[-1]) + 1)
        logits = torch.einsum("nk,khw->nhw", coefficients[place], prototypes)
        masks[place] = rows @ logits @ columns.t() > _as_logit(threshold)
    left, top, right, bottom = boxes_xyxy.ceil().t()[:, :, None]
    x, y = (torch.arange(side, device=masks.device) for side in (len(columns), len(rows)))
    return masks & ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None]


def _windows(boxes_xyxy: Tensor) -> list[list[int]]:
    """Return first column, first row and their ends: column x is inside if x_min <= x < x_max."""
    windows: list[list[int]] = boxes_xyxy.nan_to_num(0).ceil().long().tolist()
    return windows


def _used_cells(weights: Tensor) -> slice:
    """Return the cells that these neighbouring pixels, (pixels, cells), are made of."""
    used = weights[[0, -1]].any(dim=0).nonzero()[:, 0]
    return slice(int(used[0]), int(used[-1]) + 1)


def _as_logit(probability: float) -> float:
    if probability in (0, 1):
        return math.copysign(math.inf, probability - 0.5)
    return math.log(probability / (1 - probability))
