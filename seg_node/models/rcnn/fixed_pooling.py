# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""RoIAlign from all levels of a pyramid with fixed shapes: the host never waits for the GPU.

It uses a Triton kernel where one builds and agrees with torch, else torch's functions.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torchvision.ops import roi_align

from seg_node.models.gpu.kernel_check import kernel_passes
from seg_node.models.rcnn.roi_align import align_rows_of_levels

_MAX_LEVELS = 4  # of a pyramid, in the Triton kernel


def pool_fixed(
    features: Sequence[Tensor], regions: Tensor, levels: Tensor, size: int, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Pool each region (R, 5) from its own level (R,) to (R, C, size, size), see `align_rows`."""
    device, kind = regions.device, features[0].dtype
    if (
        regions.is_cuda
        and len(features) <= _MAX_LEVELS
        and kernel_works(device, kind, size, sampling_ratio, aligned)
    ):
        from seg_node.models.rcnn import roi_align_kernel

        return roi_align_kernel.align_levels(features, regions, levels, size, sampling_ratio, aligned)
    return pool_by_torch(features, regions, levels, size, sampling_ratio, aligned)


def pool_by_torch(
    features: Sequence[Tensor], regions: Tensor, levels: Tensor, size: int, sampling_ratio: int, aligned: bool
) -> Tensor:
    pool = align_rows_of_levels if sampling_ratio > 0 else _pool_on_all_levels
    return pool(features, regions, levels, size, sampling_ratio, aligned)


def _pool_on_all_levels(
    features: Sequence[Tensor], regions: Tensor, levels: Tensor, size: int, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Pool with as many samples as cells, a number that only torchvision's kernel computes by itself."""
    pooled = None
    for level, feature in enumerate(features):
        here = levels == level
        own = torch.where(here[:, None], regions, 0.0)  # regions of other levels: no area, hardly any samples
        scale = 1 / (4 << level)
        found = roi_align(feature.float().contiguous(), own, size, scale, sampling_ratio, aligned)
        pooled = found if pooled is None else torch.where(here[:, None, None, None], found, pooled)
    assert pooled is not None
    return pooled.to(features[0].dtype).contiguous(memory_format=torch.channels_last)


@cache
def kernel_works(
    device: torch.device, kind: torch.dtype, size: int, sampling_ratio: int, aligned: bool
) -> bool:
    """Whether the Triton kernel builds and agrees with torch; checked once for each combination."""
    return kernel_passes(
        "regions are pooled", lambda: _kernel_agrees(device, kind, size, sampling_ratio, aligned)
    )


def _kernel_agrees(
    device: torch.device, kind: torch.dtype, size: int, sampling_ratio: int, aligned: bool
) -> bool:
    from seg_node.models.rcnn import roi_align_kernel

    random = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 8, 16 >> i, 24 >> i, generator=random) for i in range(_MAX_LEVELS)]
    maps = [feature.to(device, kind, memory_format=torch.channels_last) for feature in maps]
    corner = torch.rand(20, 2, generator=random) * 60
    image = torch.arange(20)[:, None] % 2
    regions = torch.cat((image, corner, corner + torch.rand(20, 2, generator=random) * 40), dim=1).to(device)
    levels = torch.arange(20, device=device) % _MAX_LEVELS
    ways = roi_align_kernel.align_levels, pool_by_torch
    found, expected = (way(maps, regions, levels, size, sampling_ratio, aligned).float() for way in ways)
    # in half precision torch also rounds the weights of values up to 4
    return torch.allclose(found, expected, rtol=0, atol=2e-5 if kind == torch.float32 else 0.05)
