"""Arithmetic of anchors and boxes, (x_min, y_min, x_max, y_max) in network-input pixels.

Each step is done in the order of torchvision's `anchor_utils.py`, `_utils.py: BoxCoder` and `poolers.py`
or Detectron2's `anchor_generator.py` and `poolers.py`, because another order rounds differently.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import roi_align

from seg_node.models.rcnn.roi_align import align_rows, align_rows_of_levels

MAX_LOG_SCALE = math.log(1000 / 16)  # a box grows at most 62.5 times, so that exp() stays finite


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float], rounded: bool) -> Tensor:
    """Anchors around (0, 0), one for each size and height/width ratio: float (A, 4).

    rounded: corners to whole pixels, ratio outermost (torchvision), or as they come, size outermost
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
    """The anchors of the given places in a level's list, which runs over rows, columns, cells.

    indices: int64 (K,). cells: (A, 4). stride: (vertical, horizontal) pixels. offset: of the first, in
    strides. Returns (K, 4).
    """
    cell = indices % len(cells)
    place = indices // len(cells)
    x = (place % grid_width + offset) * stride[1]
    y = (place // grid_width + offset) * stride[0]
    return torch.stack((x, y, x, y), dim=1) + cells[cell]


def decode_boxes(deltas: Tensor, references: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """Moves and scales the reference boxes (K, 4) by the predicted deltas (K, 4): dx, dy, dw, dh."""
    widths = references[:, 2] - references[:, 0]
    heights = references[:, 3] - references[:, 1]
    x = references[:, 0] + 0.5 * widths
    y = references[:, 1] + 0.5 * heights
    dx, dy, dw, dh = (delta / weight for delta, weight in zip(deltas.unbind(1), weights, strict=True))
    x = dx * widths + x
    y = dy * heights + y
    half_width = 0.5 * (torch.exp(dw.clamp(max=MAX_LOG_SCALE)) * widths)
    half_height = 0.5 * (torch.exp(dh.clamp(max=MAX_LOG_SCALE)) * heights)
    return torch.stack((x - half_width, y - half_height, x + half_width, y + half_height), dim=1)


def pyramid_levels(boxes: Tensor, num_levels: int, epsilon: Literal["level", "side"] = "level") -> Tensor:
    """The pyramid level, 0 for stride 4, whose resolution suits each box (Lin et al. 2016, equation 1).

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
    """RoIAlign on the pyramid level that suits each box.

    features: maps (N, C, h, w) of stride 4, 8, …. boxes: (K, 4) for each of the N images.
    Returns (ΣK, C, size, size) in the boxes' order. Features in channels_last order go the fast way.
    fixed: without waiting for a number from the GPU.
    """
    image = torch.cat([torch.full_like(b[:, :1], i) for i, b in enumerate(boxes)])
    regions = torch.cat([image, torch.cat(list(boxes))], dim=1)
    levels = pyramid_levels(regions[:, 1:], len(features), level_epsilon)
    if fixed and sampling_ratio > 0:
        return align_rows_of_levels(features, regions, levels, size, sampling_ratio, aligned)
    if fixed:
        return _pool_on_all_levels(features, regions, levels, size, aligned)
    pooled = features[0].new_empty((len(regions), features[0].shape[1], size, size))
    if not features[0].is_contiguous():
        pooled = pooled.to(memory_format=torch.channels_last)
    for level, feature in enumerate(features):
        here = torch.where(levels == level)[0]
        align = roi_align if feature.is_contiguous() else align_rows
        pooled[here] = align(feature, regions[here], size, 1 / (4 << level), sampling_ratio, aligned)
    return pooled


def _pool_on_all_levels(
    features: Sequence[Tensor], regions: Tensor, levels: Tensor, size: int, aligned: bool
) -> Tensor:
    """As many samples as cells, a number that only torchvision's kernel need not know beforehand."""
    maps = [feature.float().contiguous() for feature in features]
    pooled = roi_align(maps[0], regions, size, 1 / 4, 0, aligned)
    for level, feature in enumerate(maps[1:], 1):
        here = (levels == level)[:, None, None, None]
        pooled = torch.where(here, roi_align(feature, regions, size, 1 / (4 << level), 0, aligned), pooled)
    return pooled.to(features[0].dtype).contiguous(memory_format=torch.channels_last)
