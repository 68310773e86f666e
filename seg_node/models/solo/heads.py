"""What the heads of SOLO, Decoupled SOLO and SOLOv2 share, and the heads of the first two.

A head lays a grid over each pyramid level and says for every cell which classes have an object centred
there, and which pixels are that object's.
Sources: Wang et al. 2020 (SOLO); WXinlong/SOLO `mmdet/models/anchor_heads/solo_head.py,
decoupled_solo_head.py, decoupled_solo_light_head.py`; mmdetection `models/dense_heads/solo_head.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seg_node.models.layers.backbones import conv_norm

GROUP_NORM = partial(nn.GroupNorm, 32)


@dataclass(frozen=True)
class GridOutput:
    """A head's answer for N images.

    category_probs: of each level, float (N, S, S, classes), after `points_nms`.
    mask_sources: what the masks of chosen cells are made of; the head that wrote them reads them. Features
    are in the network's precision, all else is float32.
    """

    category_probs: tuple[Tensor, ...]
    mask_sources: tuple[Tensor, ...]


class SOLOHead(nn.Module):
    """Each grid cell has a mask of its own: one output channel a cell."""

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
        """mask_sources: of each level, features (N, C, h, w)."""
        levels = grid_levels(pyramid)
        probs = category_probs(self.cate_convs, self.solo_cate, levels, self.grids)
        return GridOutput(probs, tuple(upsample(self.ins_convs(with_coordinates(x, "xy"))) for x in levels))

    def masks(self, output: GridOutput, image: int, cells: Sequence[Tensor]) -> Tensor:
        """The probabilities (K, h, w) of the given cells of one image.

        cells: of each level, rising int64, counted over its rows, columns.
        """
        size = output.mask_sources[0].shape[-2:]
        masks = [torch.zeros((0, *size), device=output.mask_sources[0].device)]
        for conv, features, chosen in zip(self.solo_ins_list, output.mask_sources, cells, strict=True):
            if len(chosen) == 0:
                continue
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            # only the chosen channels: all of them would cost as much as the backbone
            x = features[image].to(conv.weight.dtype)
            logits = apply_kernels(x, conv.weight[chosen], conv.bias[chosen]).float()
            masks.append(bilinear(logits.sigmoid()[None], size)[0])
        return torch.cat(masks)


class DecoupledSOLOHead(nn.Module):
    """A cell's mask is the product of its column's and its row's, so that S + S channels suffice.

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
        """mask_sources: of each level, probabilities (N, 2, S, h, w) of its columns and rows."""
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
            if not source.is_cuda:  # on a GPU `unique` makes the host wait; enlarging all costs less
                used_columns, columns = columns.unique(return_inverse=True)
                used_rows, rows = rows.unique(return_inverse=True)
                x, y = x[used_columns], y[used_rows]
            masks.append(bilinear(x[None], size)[0][columns] * bilinear(y[None], size)[0][rows])
        return torch.cat(masks)


def tower(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    """3x3 convolutions of the given widths, each with group norm and ReLU."""
    return nn.Sequential(*(conv_norm(a, b, 3, GROUP_NORM) for a, b in pairwise([in_channels, *widths])))


def grid_levels(pyramid: Sequence[Tensor]) -> list[Tensor]:
    """Pyramid maps of stride 4, 8, 16, 32, 64 → the heads' levels, of stride 8, 8, 16, 32, 32."""
    finest, *middle, coarsest = pyramid
    halved = F.interpolate(finest, scale_factor=0.5, mode="bilinear", align_corners=False)
    return [halved, *middle, bilinear(coarsest, middle[-1].shape[-2:])]


def apply_kernels(features: Tensor, kernels: Tensor, biases: Tensor | None = None) -> Tensor:
    """The features (C, h, w) convolved with kernels (K, C, 1, 1): (K, h, w).

    On a GPU by a matrix product, because cuDNN would search its fastest convolution for every new K. On the
    CPU by a convolution, as the references do: a matrix product rounds its sums differently.
    """
    if not features.is_cuda:
        return F.conv2d(features[None], kernels, biases)[0]
    pixels, kernels = features.flatten(1), kernels.flatten(1)
    product = kernels @ pixels if biases is None else torch.addmm(biases[:, None], kernels, pixels)
    return product.view(-1, *features.shape[1:])


def count_levels(cells: Tensor, grids: Sequence[int]) -> list[int]:
    """How many of the rising cells, counted over all levels, are in each level. The host waits for a GPU."""
    ends = list(accumulate(grid**2 for grid in grids))
    # made on the device, as the host would wait for an upload too
    ends_there = torch.cat([cells.new_full((1,), end) for end in ends])
    bounds = torch.searchsorted(cells, ends_there).tolist()
    return [end - start for start, end in pairwise([0, *bounds])]


def split_levels(cells: Tensor, per_level: Sequence[int], grids: Sequence[int]) -> list[Tensor]:
    """Rising cells, counted over all levels → of each level those that are in it, counted from its first.

    per_level: how many there are, see `count_levels`.
    """
    firsts = accumulate((grid**2 for grid in grids[:-1]), initial=0)
    return [part - first for part, first in zip(cells.split(list(per_level)), firsts, strict=True)]


def with_coordinates(x: Tensor, axes: Literal["x", "y", "xy"]) -> Tensor:
    """(N, C, h, w) → (N, C + 1 or 2, h, w): where each pixel is, from -1 to 1, as further channels."""
    shape = len(x), *x.shape[-2:]
    along = {
        "x": torch.linspace(-1, 1, shape[2], device=x.device).expand(shape),
        "y": torch.linspace(-1, 1, shape[1], device=x.device)[:, None].expand(shape),
    }
    # laid out as x is: else joining them takes ten times as long, and all that follows is slow too
    if x.is_contiguous(memory_format=torch.channels_last):
        places = torch.stack([along[axis] for axis in axes], dim=3).permute(0, 3, 1, 2)
    else:
        places = torch.stack([along[axis] for axis in axes], dim=1)
    return torch.cat((x, places.to(x.dtype)), dim=1)


def category_probs(
    convs: nn.Module, classify: nn.Module, levels: Sequence[Tensor], grids: Sequence[int]
) -> tuple[Tensor, ...]:
    """Of each level, the probability of each class in each grid cell: (N, S, S, classes)."""
    cells = [bilinear(level, (grid, grid)) for level, grid in zip(levels, grids, strict=True)]
    return tuple(points_nms(classify(convs(x)).float().sigmoid()).permute(0, 2, 3, 1) for x in cells)


def points_nms(probs: Tensor) -> Tensor:
    """(N, classes, S, S), 0 where a cell's upper, left or upper left neighbour has more of a class."""
    best = F.max_pool2d(probs, kernel_size=2, stride=1, padding=1)[:, :, :-1, :-1]
    return probs * (best == probs)


def bilinear(x: Tensor, size: Sequence[int]) -> Tensor:
    """(N, C, *, *) → (N, C, *size)."""
    return F.interpolate(x, size=(size[0], size[1]), mode="bilinear", align_corners=False)


def upsample(x: Tensor) -> Tensor:
    """Doubles height and width."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
