# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""RoIAlign from all levels of a pyramid by a single Triton kernel. Imported only if Triton is installed."""

from collections.abc import Sequence

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

_MAX_CHANNELS = 256  # per program: in half precision each thread of a warp loads 16 bytes


def align_levels(
    features: Sequence[Tensor], regions: Tensor, levels: Tensor, size: int, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Compute `roi_align.align_rows_of_levels` for at most 4 levels; sampling_ratio may be 0.

    Sums are float32 for features of any type.
    """
    maps = [feature.contiguous(memory_format=torch.channels_last) for feature in features]
    channels = maps[0].shape[1]
    pooled = torch.empty(len(regions), size, size, channels, dtype=maps[0].dtype, device=maps[0].device)
    maps += [maps[-1]] * (4 - len(maps))
    block = min(triton.next_power_of_2(channels), _MAX_CHANNELS)
    sides = [side for feature in maps for side in feature.shape[2:]]
    programs = (len(regions), size * size, triton.cdiv(channels, block))
    if len(regions):
        _align[programs](
            *maps, regions, levels, pooled, *sides, channels, size, sampling_ratio, aligned, block,
            num_warps=1, enable_fp_fusion=False,
        )  # fmt: skip
    return pooled.permute(0, 3, 1, 2)


@triton.jit
def _choose(level, first, second, third, fourth):  # type: ignore[no-untyped-def]
    finer = tl.where(level == 0, first, second)
    return tl.where(level < 2, finer, tl.where(level == 2, third, fourth))


@triton.jit
def _side(start, end, scale, ALIGNED: tl.constexpr):  # type: ignore[no-untyped-def]
    """Convert one side of a region from pixels to cells: start and length."""
    offset = 0.5 if ALIGNED else 0.0
    low = start * scale - offset
    length = end * scale - offset - low
    if not ALIGNED:
        length = tl.maximum(length, 1.0)
    return low, length


@triton.jit
def _taps(place, limit):  # type: ignore[no-untyped-def]
    """Return the two cells around a place, the second one's weight, and whether the place is on the map."""
    inside = (place >= -1.0) & (place <= limit)
    place = tl.minimum(tl.maximum(place, 0.0), (limit - 1).to(tl.float32))
    low = place.to(tl.int32)
    return low, tl.minimum(low + 1, limit - 1), place - low, inside


@triton.jit
def _align(  # type: ignore[no-untyped-def]
    map0, map1, map2, map3, regions, levels, pooled, rows0, columns0, rows1, columns1, rows2, columns2, rows3,
    columns3, channels, SIZE: tl.constexpr, SAMPLES: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute one bin of one region. Source: torchvision `csrc/ops/cuda/roi_align_kernel.cu`."""
    region, bin = tl.program_id(0), tl.program_id(1)
    level = tl.load(levels + region).to(tl.int32)
    rows, columns = (
        _choose(level, rows0, rows1, rows2, rows3),
        _choose(level, columns0, columns1, columns2, columns3),
    )
    scale = _choose(level, 0.25, 0.125, 0.0625, 0.03125)
    box = regions + region * 5
    image = tl.load(box).to(tl.int64)
    left, width = _side(tl.load(box + 1), tl.load(box + 3), scale, ALIGNED)
    top, height = _side(tl.load(box + 2), tl.load(box + 4), scale, ALIGNED)
    bin_width, bin_height = tl.div_rn(width, SIZE * 1.0), tl.div_rn(height, SIZE * 1.0)
    across, down = SAMPLES, SAMPLES
    if SAMPLES == 0:  # as many as cells; 0 if a side is 0 or NaN, which would loop forever
        across = tl.where(width > 0, tl.ceil(bin_width), 0.0).to(tl.int32)
        down = tl.where(height > 0, tl.ceil(bin_height), 0.0).to(tl.int32)
    channel = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    there = channel < channels
    cells = _choose(level, map0, map1, map2, map3) + image * rows * columns * channels + channel
    total = tl.zeros((BLOCK,), tl.float32)
    for i in range(down):
        y = top + (bin // SIZE) * bin_height + tl.div_rn((i + 0.5) * bin_height, down * 1.0)
        upper, lower, part_down, inside_y = _taps(y, rows)
        for j in range(across):
            x = left + (bin % SIZE) * bin_width + tl.div_rn((j + 0.5) * bin_width, across * 1.0)
            first, second, part, inside = _taps(x, columns)
            if inside & inside_y:
                above, below = cells + upper * columns * channels, cells + lower * columns * channels
                a = tl.load(above + first * channels, mask=there).to(tl.float32)
                b = tl.load(above + second * channels, mask=there).to(tl.float32)
                c = tl.load(below + first * channels, mask=there).to(tl.float32)
                d = tl.load(below + second * channels, mask=there).to(tl.float32)
                ab, cd = (1 - part) * a + part * b, (1 - part) * c + part * d
                total += (1 - part_down) * ab + part_down * cd
    mean = total / tl.maximum(across * down, 1)
    place = pooled + (region.to(tl.int64) * (SIZE * SIZE) + bin) * channels + channel
    tl.store(place, mean.to(pooled.dtype.element_ty), mask=there)
