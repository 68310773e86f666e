# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of overlapping boxes by a single Triton kernel. Imported only if Triton is installed."""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

_BLOCK = 32


def overlaps(boxes: Tensor, threshold: float | Tensor, groups: Tensor | None) -> Tensor:
    """Compute `seg_node.models.rcnn.suppression.overlaps_by_torch` as float16 (B, K, K)."""
    lists, count = boxes.shape[:2]
    boxes = boxes.contiguous()
    if isinstance(threshold, Tensor):
        threshold = threshold.to(boxes.dtype)
    else:
        threshold = torch.full((), threshold, dtype=boxes.dtype, device=boxes.device)
    answer = torch.empty(lists, count, count, dtype=torch.float16, device=boxes.device)
    blocks = triton.cdiv(count, _BLOCK)
    kinds = boxes if groups is None else groups.contiguous()
    # no fused multiply-add, so that the results equal those of the torch function
    _overlaps[blocks, blocks, lists](
        boxes, kinds, threshold, answer, count, groups is not None, _BLOCK, enable_fp_fusion=False
    )
    return answer


@triton.jit
def _overlaps(  # type: ignore[no-untyped-def]
    boxes, groups, threshold, answer, count, GROUPED: tl.constexpr, BLOCK: tl.constexpr
):
    """Compute one square block of a list's pairs."""
    first = tl.program_id(2) * count
    row = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[:, None]
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[None, :]
    left, top, right, bottom = _corners(boxes, first + row, row < count)
    other_left, other_top, other_right, other_bottom = _corners(boxes, first + column, column < count)
    width = tl.maximum(tl.minimum(right, other_right) - tl.maximum(left, other_left), 0.0)
    height = tl.maximum(tl.minimum(bottom, other_bottom) - tl.maximum(top, other_top), 0.0)
    shared = width * height
    area = (right - left) * (bottom - top)
    other_area = (other_right - other_left) * (other_bottom - other_top)
    inside = (tl.div_rn(shared, area + other_area - shared) > tl.load(threshold)) & (row < column)
    if GROUPED:
        group = tl.load(groups + first + row, mask=row < count)
        inside = inside & (group == tl.load(groups + first + column, mask=column < count))
    place = answer + (first + row).to(tl.int64) * count + column
    tl.store(place, inside.to(tl.float16), mask=(row < count) & (column < count))


@triton.jit
def _corners(boxes, numbers, there):  # type: ignore[no-untyped-def]
    box = boxes + numbers * 4
    left, top = tl.load(box, mask=there, other=0.0), tl.load(box + 1, mask=there, other=0.0)
    right, bottom = tl.load(box + 2, mask=there, other=1.0), tl.load(box + 3, mask=there, other=1.0)
    return left, top, right, bottom
