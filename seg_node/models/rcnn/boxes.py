# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of anchors and boxes (x_min, y_min, x_max, y_max) in network-input pixels.

Each step follows the order of torchvision's `anchor_utils.py`, `_utils.py: BoxCoder` and `poolers.py`
or Detectron2's `anchor_generator.py` and `poolers.py`, because another order rounds differently.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image, roi_align

from seg_node.models.rcnn.fixed_pooling import pool_fixed
from seg_node.models.rcnn.roi_align import align_rows

MAX_LOG_SCALE = math.log(1000 / 16)  # a box grows at most 62.5 times, which keeps exp() finite


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float], rounded: bool) -> Tensor:
    """Compute the anchors around (0, 0) of each size and height/width ratio: float (A, 4).

    rounded: corners rounded to whole pixels, ratio outermost (torchvision), or exact, size outermost
    (Detectron2).
    """
    return _rounded_anchors(sizes, ratios) if rounded else _exact_anchors(sizes, ratios)


def _rounded_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    root = torch.sqrt(torch.tensor(ratios, dtype=torch.float32))
    size = torch.tensor(sizes, dtype=torch.float32)
    widths = ((1 / root)[:, None] * size[None, :]).flatten()
    heights = (root[:, None] * size[None, :]).flatten()
    return (torch.stack([-widths, -heights, widths, heights], dim=1) / 2).round()


def _exact_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    widths = [(math.sqrt(size**2 / ratio), ratio) for size in sizes for ratio in ratios]
    corners = [(-w / 2, -(ratio * w) / 2, w / 2, ratio * w / 2) for w, ratio in widths]
    return torch.tensor(corners, dtype=torch.float32)


def anchors_at(
    indices: Tensor, cells: Tensor, grid_width: int, stride: tuple[int, int], offset: float = 0.0
) -> Tensor:
    """Compute the anchors at the given indices of a level, whose list runs over rows, columns, cells.

    indices: int64 (K,). cells: (A, 4). stride: (vertical, horizontal) pixels. offset: of the first anchor,
    in strides. Returns (K, 4).
    """
    place = indices // len(cells)
    column, row = place % grid_width, place // grid_width
    if offset:
        column, row = column + offset, row + offset
    x, y = column * stride[1], row * stride[0]
    return torch.stack((x, y, x, y), dim=1) + cells[indices % len(cells)]


def decode_boxes(deltas: Tensor, references: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """Move and scale the reference boxes (K, 4) by the predicted deltas (K, 4): dx, dy, dw, dh."""
    sides = references[:, 2:] - references[:, :2]
    centres = references[:, :2] + 0.5 * sides
    shifts, log_scales = _divide(deltas[:, :2], *weights[:2]), _divide(deltas[:, 2:], *weights[2:])
    centres = shifts * sides + centres
    half_sides = 0.5 * (torch.exp(log_scales.clamp(max=MAX_LOG_SCALE)) * sides)
    return torch.cat((centres - half_sides, centres + half_sides), dim=1)


def _divide(pairs: Tensor, first: float, second: float) -> Tensor:
    """Divide the columns of (K, 2); one kernel if the divisors are equal, as in published models."""
    if first == second:
        return pairs if first == 1 else pairs / first
    return torch.stack((pairs[:, 0] / first, pairs[:, 1] / second), dim=1)


def clip_boxes(boxes: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Clip the boxes (N, …, 4) of N images to each image's (height, width)."""
    if len(set(sizes)) == 1:
        return clip_boxes_to_image(boxes, sizes[0])
    return torch.stack([clip_boxes_to_image(b, size) for b, size in zip(boxes, sizes, strict=True)])


def pyramid_levels(boxes: Tensor, num_levels: int, epsilon: Literal["level", "side"] = "level") -> Tensor:
    """Assign each box to a pyramid level, 0 for stride 4 (Lin et al. 2016, equation 1).

    epsilon: see `RCNNSettings.roi_level_epsilon`.
    """
    side = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])) / 224
    level = 4 + torch.log2(side) + 1e-6 if epsilon == "level" else 4 + torch.log2(side + 1e-8)
    level = torch.floor(level)
    return level.clamp(2, 1 + num_levels).to(torch.int64) - 2


def pool_regions(
    features: Sequence[Tensor],
    boxes: Sequence[Tensor],
    size: int,
    sampling_ratio: int,
    aligned: bool,
    level_epsilon: Literal["level", "side"] = "level",
    fixed: bool = False,
) -> Tensor:
    """Apply RoIAlign on each box's pyramid level.

    features: maps (N, C, h, w) of stride 4, 8, …. boxes: (K, 4) for each of the N images.
    Returns (ΣK, C, size, size) in the boxes' order. Features in channels_last order are faster.
    fixed: no shape depends on the GPU's results, so the host never waits.
    """
    image = torch.cat([torch.full_like(b[:, :1], i) for i, b in enumerate(boxes)])
    regions = torch.cat([image, torch.cat(list(boxes))], dim=1)
    levels = pyramid_levels(regions[:, 1:], len(features), level_epsilon)
    if fixed:
        return pool_fixed(features, regions, levels, size, sampling_ratio, aligned)
    pooled = features[0].new_empty((len(regions), features[0].shape[1], size, size))
    if not features[0].is_contiguous():
        pooled = pooled.to(memory_format=torch.channels_last)
    for level, feature in enumerate(features):
        here = torch.where(levels == level)[0]
        align = roi_align if feature.is_contiguous() else align_rows
        pooled[here] = align(feature, regions[here], size, 1 / (4 << level), sampling_ratio, aligned)
    return pooled
