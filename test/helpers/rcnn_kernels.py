# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN's Triton kernels against torch, for Triton's interpreter: see test_rcnn_kernels.py."""

import torch
from torch import Tensor
from torchvision.ops import roi_align

from seg_node.models.rcnn import fixed_pooling, overlap_kernel, roi_align_kernel, suppression
from seg_node.models.rcnn.roi_align import align_rows_of_levels
from seg_node.models.rcnn.suppression import overlaps_by_torch


def compare_overlaps(random: torch.Generator) -> None:
    for count in (1, 40):
        corner = torch.rand(2, count, 2, generator=random) * 60
        boxes = torch.cat((corner, corner + torch.rand(2, count, 2, generator=random) * 40), dim=2)
        boxes[1, count // 2 :] = 0.0  # fillers
        groups = torch.randint(0, 3, (2, count), generator=random)
        for kinds in (None, groups):
            for threshold in (0.0, torch.tensor(0.3)):
                expected = overlaps_by_torch(boxes, threshold, kinds)
                found = overlap_kernel.overlaps(boxes, threshold, kinds)
                assert found.dtype == torch.float16 and torch.equal(found > 0, expected)
                assert expected.any() == (count > 1)


def pyramid(random: torch.Generator, channels: int, count: int) -> list[Tensor]:
    maps = [torch.randn(2, channels, 24 >> i, 36 >> i, generator=random) for i in range(count)]
    return [feature.to(memory_format=torch.channels_last) for feature in maps]


def random_regions(random: torch.Generator, count: int) -> Tensor:
    """Of two images of 144x96, some beyond the border, the first without a side, the second zeros."""
    corner = torch.rand(count, 2, generator=random) * 120 - 20
    sides = torch.rand(count, 2, generator=random) ** 2 * 90
    sides[0] = 0
    image = torch.arange(count)[:, None] % 2
    regions = torch.cat((image, corner, corner + sides), dim=1)
    regions[1] = 0
    return regions


def compare_pooling(random: torch.Generator, levels_there: int, channels: int) -> None:
    maps = pyramid(random, channels, levels_there)
    regions = random_regions(random, 8)
    levels = torch.arange(8) % levels_there
    for samples, size, aligned in ((2, 3, False), (2, 3, True), (0, 2, True), (0, 2, False)):
        found = roi_align_kernel.align_levels(maps, regions, levels, size, samples, aligned)
        for region, level in enumerate(levels.tolist()):
            part = regions[region : region + 1]
            expected = roi_align(maps[level].contiguous(), part, size, 1 / (4 << level), samples, aligned)
            torch.testing.assert_close(found[region : region + 1], expected, atol=2e-5, rtol=0)
        if samples:
            expected = align_rows_of_levels(maps, regions, levels, size, samples, aligned)
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert found.is_contiguous(memory_format=torch.channels_last)


def compare_regions_that_are_no_places() -> None:
    """NaN in, no endless loop and no read beside the maps: whatever comes has the right shape."""
    maps = [torch.ones(1, 4, 6, 9).to(memory_format=torch.channels_last)]
    regions = torch.tensor([[0.0, torch.nan, 0.0, torch.nan, 9.0], [0.0, 0.0, torch.nan, 9.0, torch.nan]])
    for samples in (0, 2):
        pooled = roi_align_kernel.align_levels(maps, regions, torch.zeros(2).long(), 2, samples, True)
        assert not pooled.any(), pooled
    none = roi_align_kernel.align_levels(maps, regions[:0], torch.zeros(0).long(), 2, 2, True)
    assert none.shape == (0, 4, 2, 2)


def pass_their_own_checks() -> None:
    """With which the program decides whether it uses them; in each precision."""
    assert suppression._kernel_agrees(torch.device("cpu"))
    for kind, samples, aligned in ((torch.bfloat16, 2, False), (torch.float16, 0, True)):
        assert fixed_pooling._kernel_agrees(torch.device("cpu"), kind, 2, samples, aligned)


if __name__ == "__main__":
    source = torch.Generator().manual_seed(0)
    compare_overlaps(source)
    compare_pooling(source, 4, 6)
    compare_pooling(source, 1, 300)
    compare_regions_that_are_no_places()
    pass_their_own_checks()
    print("equal")
