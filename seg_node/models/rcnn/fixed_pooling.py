"""RoIAlign from all levels of a pyramid without waiting for a number from the GPU.

By one Triton kernel where there is one that agrees with torch, else by torch's functions.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torchvision.ops import roi_align

from seg_node.models.gpu.kernel_check import kernel_passes
from seg_node.models.rcnn.roi_align import align_rows_of_levels

_MOST_LEVELS = 4  # of the pyramid that the Triton kernel takes


def pool_fixed(
    features: Sequence[Tensor], regions: Tensor, levels: Tensor, size: int, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Each region (R, 5) from its own level (R,): (R, C, size, size), see `align_rows`."""
    device, kind = regions.device, features[0].dtype
    if (
        regions.is_cuda
        and len(features) <= _MOST_LEVELS
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
    """As many samples as cells, a number that only torchvision's kernel need not know beforehand."""
    pooled = None
    for level, feature in enumerate(features):
        here = levels == level
        own = torch.where(here[:, None], regions, 0.0)  # other levels' regions without area: hardly a sample
        scale = 1 / (4 << level)
        found = roi_align(feature.float().contiguous(), own, size, scale, sampling_ratio, aligned)
        pooled = found if pooled is None else torch.where(here[:, None, None, None], found, pooled)
    assert pooled is not None
    return pooled.to(features[0].dtype).contiguous(memory_format=torch.channels_last)


@cache
def kernel_works(
    device: torch.device, kind: torch.dtype, size: int, sampling_ratio: int, aligned: bool
) -> bool:
    """Whether the Triton kernel can be built for this and gives what torch gives; asked once for each."""
    return kernel_passes(
        "regions are pooled", lambda: _kernel_agrees(device, kind, size, sampling_ratio, aligned)
    )


def _kernel_agrees(
    device: torch.device, kind: torch.dtype, size: int, sampling_ratio: int, aligned: bool
) -> bool:
    from seg_node.models.rcnn import roi_align_kernel

    random = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 8, 16 >> i, 24 >> i, generator=random) for i in range(_MOST_LEVELS)]
    maps = [feature.to(device, kind, memory_format=torch.channels_last) for feature in maps]
    corner = torch.rand(20, 2, generator=random) * 60
    image = torch.arange(20)[:, None] % 2
    regions = torch.cat((image, corner, corner + torch.rand(20, 2, generator=random) * 40), dim=1).to(device)
    levels = torch.arange(20, device=device) % _MOST_LEVELS
    ways = roi_align_kernel.align_levels, pool_by_torch
    found, expected = (way(maps, regions, levels, size, sampling_ratio, aligned).float() for way in ways)
    # in half precision torch rounds the weights of values up to 4, too
    return torch.allclose(found, expected, rtol=0, atol=2e-5 if kind == torch.float32 else 0.05)
