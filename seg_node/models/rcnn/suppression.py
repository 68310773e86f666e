# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Greedy non-maximum suppression with fixed shapes, by rounds of a matrix product."""

from functools import cache

import torch
from torch import Tensor

from seg_node.models.gpu.kernel_check import kernel_passes


def suppress(
    boxes: Tensor, valid: Tensor, threshold: float | Tensor, rounds: int, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return which boxes of B lists are kept, bool (B, K), and whether that converged, bool (B,).

    boxes: (B, K, 4), by falling score. valid: bool (B, K), other boxes are neither kept nor suppress any.
    threshold: a number or a 0-dimensional tensor on the boxes' device.
    groups: int64 (B, K), only boxes of one group suppress each other.
    A box is kept if no better kept box overlaps it by more than the threshold. Starting with all boxes, this
    rule converges from the best box on; each round decides one more link of every chain.
    """
    overlaps = _overlaps(boxes, threshold, groups)
    allowed = before = kept = valid[:, None].to(overlaps.dtype)
    for _ in range(rounds):
        # count the kept boxes that overlap each box; keep it if that is below 1, or below 0 if invalid
        before, kept = kept, torch.bmm(kept, overlaps).lt_(allowed)
    return kept[:, 0] > 0, (kept == before).flatten(1).all(dim=1)


def _overlaps(boxes: Tensor, threshold: float | Tensor, groups: Tensor | None) -> Tensor:
    """Compute (B, K, K): 1 where the row's box overlaps the column's worse one by more than the threshold.

    Half precision on a GPU, which multiplies it fastest and still separates 0 from any other count.
    """
    if boxes.is_cuda and kernel_works(boxes.device):
        from seg_node.models.rcnn import overlap_kernel

        return overlap_kernel.overlaps(boxes, threshold, groups)
    overlapping = overlaps_by_torch(boxes, threshold, groups)
    return overlapping.to(torch.float16 if boxes.is_cuda else torch.float32)


def overlaps_by_torch(boxes: Tensor, threshold: float | Tensor, groups: Tensor | None) -> Tensor:
    """Compute `_overlaps` as bool (B, K, K) with the arithmetic of torchvision's `nms`."""
    low, high = boxes[..., :2], boxes[..., 2:]
    area = (high - low).prod(dim=-1)
    shared = (
        torch.minimum(high[:, :, None], high[:, None]) - torch.maximum(low[:, :, None], low[:, None])
    ).clamp(min=0)
    shared_area = shared.prod(dim=-1)
    iou = shared_area / (area[:, :, None] + area[:, None] - shared_area)
    overlapping = (iou > threshold).triu(diagonal=1)
    if groups is not None:
        overlapping &= groups[:, :, None] == groups[:, None, :]
    return overlapping


@cache
def kernel_works(device: torch.device) -> bool:
    """Whether the Triton kernel builds here and agrees with the torch function; checked once."""
    return kernel_passes("boxes are suppressed", lambda: _kernel_agrees(device))


def _kernel_agrees(device: torch.device) -> bool:
    from seg_node.models.rcnn import overlap_kernel

    random = torch.Generator().manual_seed(0)
    corner = torch.rand(2, 70, 2, generator=random) * 60
    boxes = torch.cat((corner, corner + torch.rand(2, 70, 2, generator=random) * 40), dim=2).to(device)
    groups = torch.randint(0, 3, (2, 70), generator=random).to(device)
    return all(
        torch.equal(overlap_kernel.overlaps(boxes, 0.3, kinds) > 0, overlaps_by_torch(boxes, 0.3, kinds))
        for kinds in (None, groups)
    )
