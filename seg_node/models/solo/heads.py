# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The heads of SOLO and Decoupled SOLO, and functions that SOLOv2's head shares.

A head lays a grid over each pyramid level and predicts for every cell which classes have an object centred
there, and the object's mask.
Sources: Wang et al. 2020 (SOLO); WXinlong/SOLO `mmdet/models/anchor_heads/solo_head.py,
decoupled_solo_head.py, decoupled_solo_light_head.py`; mmdetection `models/dense_heads/solo_head.py`.
"""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seg_node.models.layers.backbones import conv_norm

GROUP_NORM = partial(nn.GroupNorm, 32)


class GridOutput(NamedTuple):
    """A head's output for N images.

    category_probs: one per level, float (N, S, S, classes), after `points_nms`.
    mask_sources: tensors from which the same head computes the masks of chosen cells. Features have the
    network's precision, the rest is float32.
    """

    category_probs: tuple[Tensor, ...]
    mask_sources: tuple[Tensor, ...]


class SOLOHead(nn.Module):
    """Head with one mask channel per grid cell."""

    def __init__(
        self, in_channels: int, category_widths: Sequence[int], mask_widths: Sequence[int],
        num_classes: int, grids: Sequence[int],
    ) -> None:  # fmt: skip
        super().__init__()
        self.cate_convs = tower(in_channels, category_widths)
        self.solo_cate = nn.Conv2d(category_widths[-1], num_classes, 3, padding=1)
        self.ins_convs = tower(in_channels + 2, mask_widths)
        self.solo_ins_list = nn.ModuleList(nn.Conv2d(mask_widths[-1], grid**2, 1) for grid in grids)
        self.grids = tuple(grids)

    def forward(self, pyramid: Sequence[Tensor]) -> GridOutput:
        """Compute the output; mask_sources: features (N, C, h, w) per level."""
        levels = grid_levels(pyramid)
        probs = category_probs(self.cate_convs, self.solo_cate, levels, self.grids)
        return GridOutput(probs, tuple(upsample(self.ins_convs(with_coordinates(x, "xy"))) for x in levels))

    def masks(self, output: GridOutput, image: int, cells: Sequence[Tensor]) -> Tensor:
        """Compute the mask probabilities (K, h, w) of the given cells of one image.

        cells: ascending int64 indices per level, over rows, columns.
        """
        size = output.mask_sources[0].shape[-2:]
        masks = [torch.zeros((0, *size), device=output.mask_sources[0].device)]
        for conv, features, chosen in zip(self.solo_ins_list, output.mask_sources, cells, strict=True):
            if len(chosen) == 0:
                continue
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            # only the chosen channels: computing all costs as much as the backbone
            x = features[image].to(conv.weight.dtype)
            logits = apply_kernels(x, conv.weight[chosen], conv.bias[chosen]).float()
            masks.append(bilinear(logits.sigmoid()[None], size)[0])
        return torch.cat(masks)


class DecoupledSOLOHead(nn.Module):
    """Head whose masks are the product of a column's and a row's map: S + S channels suffice.

    light: one tower for both. mask_kernel: size of the last convolutions (1, light 3).
    """

    def __init__(
        self, in_channels: int, category_widths: Sequence[int], mask_widths: Sequence[int],
        num_classes: int, grids: Sequence[int], light: bool, mask_kernel: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.cate_convs = tower(in_channels, category_widths)
        self.solo_cate = nn.Conv2d(category_widths[-1], num_classes, 3, padding=1)
        if light:
            self.ins_convs = tower(in_channels + 2, mask_widths)
        else:
            self.ins_convs_x = tower(in_channels + 1, mask_widths)
            self.ins_convs_y = tower(in_channels + 1, mask_widths)
        conv = partial(nn.Conv2d, mask_widths[-1], kernel_size=mask_kernel, padding=mask_kernel // 2)
        self.solo_ins_list_x = nn.ModuleList(conv(grid) for grid in grids)
        self.solo_ins_list_y = nn.ModuleList(conv(grid) for grid in grids)
        self.light = light
        self.grids = tuple(grids)

    def forward(self, pyramid: Sequence[Tensor]) -> GridOutput:
        """Compute the output; mask_sources: probabilities (N, 2, S, h, w) of columns and rows per level."""
        levels = grid_levels(pyramid)
        probs = category_probs(self.cate_convs, self.solo_cate, levels, self.grids)
        sources = []
        for level, conv_x, conv_y in zip(levels, self.solo_ins_list_x, self.solo_ins_list_y, strict=True):
            if self.light:
                x = y = upsample(self.ins_convs(with_coordinates(level, "xy")))
            else:
                x = upsample(self.ins_convs_x(with_coordinates(level, "x")))
                y = upsample(self.ins_convs_y(with_coordinates(level, "y")))
            sources.append(torch.stack((conv_x(x).float(), conv_y(y).float()), dim=1).sigmoid_())
        return GridOutput(probs, tuple(sources))

    def masks(self, output: GridOutput, image: int, cells: Sequence[Tensor]) -> Tensor:
        """See `SOLOHead.masks`."""
        size = output.mask_sources[0].shape[-2:]
        masks = [torch.zeros((0, *size), device=output.mask_sources[0].device)]
        for source, chosen, grid in zip(output.mask_sources, cells, self.grids, strict=True):
            if len(chosen) == 0:
                continue
            (x, y), columns, rows = source[image], chosen % grid, chosen // grid
            if not source.is_cuda:  # on a GPU `unique` makes the host wait, and enlarging all is faster
                used_columns, columns = columns.unique(return_inverse=True)
                used_rows, rows = rows.unique(return_inverse=True)
                x, y = x[used_columns], y[used_rows]
            masks.append(bilinear(x[None], size)[0][columns] * bilinear(y[None], size)[0][rows])
        return torch.cat(masks)


def tower(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Build 3x3 convolutions of the given widths, each with group norm and ReLU."""
    return nn.Sequential(*(conv_norm(a, b, 3, GROUP_NORM) for a, b in pairwise([in_channels, *widths])))


def grid_levels(pyramid: Sequence[Tensor]) -> list[Tensor]:
    """Resize pyramid maps of stride 4, 8, 16, 32, 64 to the heads' levels of stride 8, 8, 16, 32, 32."""
    finest, *middle, coarsest = pyramid
    halved = F.interpolate(finest, scale_factor=0.5, mode="bilinear", align_corners=False)
    return [halved, *middle, bilinear(coarsest, middle[-1].shape[-2:])]


def apply_kernels(features: Tensor, kernels: Tensor, biases: Tensor | None = None) -> Tensor:
    """Convolve the features (C, h, w) with kernels (K, C, 1, 1): (K, h, w).

    A GPU uses a matrix product, because cuDNN would search for its fastest convolution for every new K. The
    CPU uses a convolution like the references: a matrix product rounds its sums differently.
    """
    if not features.is_cuda:
        return F.conv2d(features[None], kernels, biases)[0]
    pixels, kernels = features.flatten(1), kernels.flatten(1)
    product = kernels @ pixels if biases is None else torch.addmm(biases[:, None], kernels, pixels)
    return product.view(-1, *features.shape[1:])


def count_levels(cells: Tensor, grids: Sequence[int]) -> list[int]:
    """Count the cells (ascending indices over all levels) of each level. The host waits for a GPU."""
    ends = list(accumulate(grid**2 for grid in grids))
    # created on the device, since the host would also wait for an upload
    ends_there = torch.cat([cells.new_full((1,), end) for end in ends])
    bounds = torch.searchsorted(cells, ends_there).tolist()
    return [end - start for start, end in pairwise([0, *bounds])]


def split_levels(cells: Tensor, per_level: Sequence[int], grids: Sequence[int]) -> list[Tensor]:
    """Split ascending indices over all levels into indices within each level.

    per_level: number of cells of each level, see `count_levels`.
    """
    firsts = accumulate((grid**2 for grid in grids[:-1]), initial=0)
    return [part - first for part, first in zip(cells.split(list(per_level)), firsts, strict=True)]


def with_coordinates(x: Tensor, axes: Literal["x", "y", "xy"]) -> Tensor:
    """Append pixel coordinates from -1 to 1 as channels: (N, C, h, w) → (N, C + 1 or 2, h, w)."""
    shape = len(x), *x.shape[-2:]
    along = {
        "x": torch.linspace(-1, 1, shape[2], device=x.device).expand(shape),
        "y": torch.linspace(-1, 1, shape[1], device=x.device)[:, None].expand(shape),
    }
    # same memory layout as x: otherwise cat takes ten times as long, and later layers are slow too
    if x.is_contiguous(memory_format=torch.channels_last):
        places = torch.stack([along[axis] for axis in axes], dim=3).permute(0, 3, 1, 2)
    else:
        places = torch.stack([along[axis] for axis in axes], dim=1)
    return torch.cat((x, places.to(x.dtype)), dim=1)


def category_probs(
    convs: nn.Module, classify: nn.Module, levels: Sequence[Tensor], grids: Sequence[int]
) -> tuple[Tensor, ...]:
    """Compute the class probabilities of each level's grid cells: (N, S, S, classes)."""
    cells = [bilinear(level, (grid, grid)) for level, grid in zip(levels, grids, strict=True)]
    return tuple(points_nms(classify(convs(x)).float().sigmoid()).permute(0, 2, 3, 1) for x in cells)


def points_nms(probs: Tensor) -> Tensor:
    """Set (N, classes, S, S) to 0 where the upper, left or upper left neighbour is more probable."""
    best = F.max_pool2d(probs, kernel_size=2, stride=1, padding=1)[:, :, :-1, :-1]
    return probs * (best == probs)


def bilinear(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (N, C, *, *) to (N, C, *size)."""
    return F.interpolate(x, size=(size[0], size[1]), mode="bilinear", align_corners=False)


def upsample(x: Tensor) -> Tensor:
    """Double height and width."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
