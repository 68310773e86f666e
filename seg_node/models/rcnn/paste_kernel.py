# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The pixels of `paste_on_device` by a single Triton kernel. Imported only if Triton is installed."""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

_BLOCK = 1024


def paste_pixels(
    padded: Tensor, origins: Tensor, rects: Tensor, total: int, largest: int, threshold: float, sample: bool
) -> Tensor:
    """Compute `paste_batched.paste_pixels`. largest: pixels of the largest rectangle."""
    pixels = torch.empty(total, dtype=torch.uint8, device=padded.device)
    programs = (triton.cdiv(largest, _BLOCK), len(rects))
    # no fused multiply-add, so that the results equal those of the torch function
    _paste[programs](
        padded, origins, rects, pixels, threshold, padded.shape[-1], sample, _BLOCK, enable_fp_fusion=False
    )
    return pixels


@triton.jit
def _neighbours(pixel, origin, extent, GRID: tl.constexpr, SAMPLE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return the two cells of the padded grid around a pixel's centre, and its position between, 0 … 1."""
    if SAMPLE:
        between = tl.div_rn(pixel + 0.5 - origin, extent) * 2.0 - 1.0
        place = ((between + 1.0) * (GRID - 2) - 1.0) * 0.5
        floor = tl.floor(place)
        lower = floor.to(tl.int32) + 1
        upper = tl.minimum(tl.maximum(lower + 1, 0), GRID - 1)
        lower = tl.minimum(tl.maximum(lower, 0), GRID - 1)
    else:
        place = (pixel - origin + 0.5) * tl.div_rn(extent * 0.0 + GRID, extent) - 0.5
        place = tl.maximum(place, 0.0)
        floor = tl.floor(place)
        lower = tl.minimum(floor.to(tl.int32), GRID - 1)
        upper = tl.minimum(lower + 1, GRID - 1)
    return lower, upper, place - floor


@triton.jit
def _paste(  # type: ignore[no-untyped-def]
    padded, origins, rects, pixels, threshold, GRID: tl.constexpr, SAMPLE: tl.constexpr, BLOCK: tl.constexpr
):
    """Compute one block of pixels of one object; most blocks of a small object are empty."""
    thing = tl.program_id(1)
    left = tl.load(rects + thing * 5)
    top = tl.load(rects + thing * 5 + 1)
    width = tl.load(rects + thing * 5 + 2)
    count = width * tl.load(rects + thing * 5 + 3)
    if tl.program_id(0) * BLOCK < count:
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        row = at // width
        x = (left + at - row * width).to(tl.float32)
        y = (top + row).to(tl.float32)
        box = origins + thing * 4
        x0, x1, fx = _neighbours(x, tl.load(box), tl.load(box + 2), GRID, SAMPLE)
        y0, y1, fy = _neighbours(y, tl.load(box + 1), tl.load(box + 3), GRID, SAMPLE)
        probs = padded + thing * GRID * GRID
        upper = tl.load(probs + y0 * GRID + x0) * (1.0 - fx) + tl.load(probs + y0 * GRID + x1) * fx
        lower = tl.load(probs + y1 * GRID + x0) * (1.0 - fx) + tl.load(probs + y1 * GRID + x1) * fx
        inside = upper * (1.0 - fy) + lower * fy >= threshold
        start = tl.load(rects + thing * 5 + 4) - count
        tl.store(pixels + start + at, inside.to(tl.uint8), mask=at < count)
