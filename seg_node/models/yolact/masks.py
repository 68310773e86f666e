# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT's prototypes and coefficients → masks and boxes at image resolution.

Source: dbolya/yolact `layers/output_utils.py: postprocess`, `layers/box_utils.py: crop,
sanitize_coordinates`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.masks.crop import tight_crop
from seg_node.models.assemble.interpolation import interpolation_weights
from seg_node.types import MaskCrop
from seg_node.untrusted.size_cache import size_cache

_TOLERANCE = 1e-6  # a matrix product and F.interpolate differ by some 1e-7
_MASKS_AT_ONCE = 16  # enlarged to whole float images at a time


def pixel_boxes(boxes_rel: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Convert relative corners (N, 4) to whole pixels, as float; only x_min ≥ 0 and x_max ≤ W are ensured."""
    height, width = image_size
    x_min, x_max = _sanitise(boxes_rel[:, 0], boxes_rel[:, 2], width, padding=0)
    y_min, y_max = _sanitise(boxes_rel[:, 1], boxes_rel[:, 3], height, padding=0)
    return torch.stack((x_min, y_min, x_max, y_max), dim=1).long().float()


def _sanitise(first: Tensor, second: Tensor, size: int, padding: int) -> tuple[Tensor, Tensor]:
    first, second = first * size, second * size
    low = torch.minimum(first, second) - padding
    high = torch.maximum(first, second) + padding
    return low.clamp(min=0), high.clamp(max=size)


def mix_prototypes(prototypes: Tensor, coefficients: Tensor) -> Tensor:
    """Mix prototypes (h, w, K) by coefficients (N, K) into uncropped mask probabilities (N, h, w)."""
    return (prototypes @ coefficients.t()).sigmoid().permute(2, 0, 1).contiguous()


def crop_windows(boxes_rel: Tensor, grid: tuple[int, int]) -> Tensor:
    """Compute the cells that each box may fill: first column, first row and their ends, int64 (N, 4).

    The box grows by one cell on each side.
    """
    height, width = grid
    x_min, x_max = _sanitise(boxes_rel[:, 0], boxes_rel[:, 2], width, padding=1)
    y_min, y_max = _sanitise(boxes_rel[:, 1], boxes_rel[:, 3], height, padding=1)
    # cell j is inside if x_min <= j < x_max
    return torch.stack((x_min, y_min, x_max, y_max), dim=1).ceil().long()


def clear_outside(probs: Tensor, windows: Tensor) -> Tensor:
    """Set probabilities (N, h, w) outside the windows (see `crop_windows`) to 0."""
    left, top, right, bottom = windows.t()[:, :, None]
    columns, rows = (torch.arange(size, device=probs.device) for size in (probs.shape[2], probs.shape[1]))
    inside = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]
    return probs * inside


def enlarge_whole_masks(
    probs: Tensor, windows: Tensor, image_size: tuple[int, int], threshold: float
) -> Tensor:
    """Compute `enlarge_masks` as whole images, on a device with enough memory: bool (N, H, W)."""
    cropped = clear_outside(probs, windows)
    enlarged = (
        F.interpolate(some[:, None], size=image_size, mode="bilinear", align_corners=False)[:, 0] > threshold
        for some in cropped.split(_MASKS_AT_ONCE)
    )
    return torch.cat(list(enlarged))


def enlarge_masks(
    probs: Tensor, windows: Tensor, image_size: tuple[int, int], threshold: float
) -> list[MaskCrop]:
    """Enlarge masks to the image; return each object's pixels in their smallest bounding rectangle.

    probs: (N, h, w) float on the CPU; treated as 0 outside the windows (see `crop_windows`).
    threshold: a pixel belongs to the object above it.
    The pixels equal those of F.interpolate(bilinear) on the whole map, but only those near the windows are
    computed.
    """
    grid = probs.shape[-2:]
    (rows, row_reach), (columns, column_reach) = (
        _enlarging(cells, pixels) for cells, pixels in zip(grid, image_size, strict=True)
    )
    crops = []
    for prob, (left, top, right, bottom) in zip(probs, windows.tolist(), strict=True):
        if left >= right or top >= bottom:
            crops.append(MaskCrop.empty())
            continue
        cells = slice(top, bottom), slice(left, right)
        pixels = (
            slice(row_reach[0][top], row_reach[1][bottom - 1]),
            slice(column_reach[0][left], column_reach[1][right - 1]),
        )
        enlarged = rows[pixels[0], cells[0]] @ prob[cells] @ columns[pixels[1], cells[1]].t()
        mask = enlarged > threshold + _TOLERANCE
        if not torch.equal(mask, enlarged > threshold - _TOLERANCE):
            mask = _interpolate(prob, cells, image_size)[pixels] > threshold
        crops.append(tight_crop(mask.numpy(), pixels[1].start, pixels[0].start))
    return crops


@size_cache(entries=16, longest=8192)  # 2 for each size of camera image, 5 MB at most
def _enlarging(cells: int, pixels: int) -> tuple[Tensor, tuple[list[int], list[int]]]:
    weights = interpolation_weights(cells, pixels)
    return weights, _reach(weights)


def _reach(weights: Tensor) -> tuple[list[int], list[int]]:
    """Return first and end of the pixels that each cell contributes to."""
    contributes = (weights > 0).to(torch.uint8)
    first = contributes.argmax(dim=0)
    end = len(contributes) - contributes.flip(0).argmax(dim=0)
    return first.tolist(), end.tolist()


def _interpolate(prob: Tensor, cells: tuple[slice, slice], image_size: tuple[int, int]) -> Tensor:
    cropped = torch.zeros_like(prob)
    cropped[cells] = prob[cells]
    return F.interpolate(cropped[None, None], size=image_size, mode="bilinear", align_corners=False)[0, 0]
