# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SOLOv2's head: each grid cell predicts a kernel; its mask is the kernel's response on a feature map.

Sources: Wang et al. 2020 (SOLOv2); WXinlong/SOLO `mmdet/models/anchor_heads/solov2_head.py,
mask_heads/mask_feat_head.py`; mmdetection `models/dense_heads/solov2_head.py`; AdelaiDet
`adet/modeling/solov2/solov2.py`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seg_node.models.layers.backbones import conv_norm
from seg_node.models.solo.heads import (
    GROUP_NORM,
    GridOutput,
    apply_kernels,
    bilinear,
    grid_levels,
    points_nms,
    tower,
    upsample,
    with_coordinates,
)


class SOLOv2Head(nn.Module):
    """Head with one kernel per grid cell.

    mask_channels: width of the mask branch. kernel_size: width of its output and of each kernel.
    """

    def __init__(
        self, in_channels: int, category_widths: Sequence[int], kernel_widths: Sequence[int],
        num_classes: int, grids: Sequence[int], mask_channels: int, kernel_size: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.cate_convs = tower(in_channels, category_widths)
        self.solo_cate = nn.Conv2d(category_widths[-1], num_classes, 3, padding=1)
        self.kernel_convs = tower(in_channels + 2, kernel_widths)
        self.solo_kernel = nn.Conv2d(kernel_widths[-1], kernel_size, 3, padding=1)
        self.mask_feat = MaskFeatures(in_channels, mask_channels, kernel_size)
        self.grids = tuple(grids)

    def forward(self, pyramid: Sequence[Tensor]) -> GridOutput:
        """Compute the output; mask_sources: kernels (N, E, S, S) per level, then features (N, E, h, w)."""
        probs, kernels = [], []
        for level, grid in zip(grid_levels(pyramid), self.grids, strict=True):
            # the coordinates are resized too, as means over the pixels of a cell
            cells = bilinear(with_coordinates(level, "xy"), (grid, grid))
            kernels.append(self.solo_kernel(self.kernel_convs(cells)).float())
            logits = self.solo_cate(self.cate_convs(cells[:, :-2])).float()
            probs.append(points_nms(logits.sigmoid()).permute(0, 2, 3, 1))
        return GridOutput(tuple(probs), (*kernels, self.mask_feat(pyramid[:-1])))

    def masks(self, output: GridOutput, image: int, cells: Sequence[Tensor]) -> Tensor:
        """See `SOLOHead.masks`."""
        *grids, features = (source[image] for source in output.mask_sources)
        kernels = torch.cat([grid.flatten(1).T[chosen] for grid, chosen in zip(grids, cells, strict=True)])
        if len(kernels) == 0:
            return torch.zeros((0, *features.shape[-2:]), device=features.device)
        logits = apply_kernels(features, kernels[:, :, None, None].to(features.dtype))
        return logits.contiguous().float().sigmoid_()


class MaskFeatures(nn.Module):
    """Pyramid maps of stride 4, 8, 16, 32 → one map of stride 4.

    Each map is enlarged step by step, then all are added. The coarsest one gets pixel coordinates.
    """

    def __init__(self, in_channels: int, channels: int, out_channels: int) -> None:
        super().__init__()
        widths = (in_channels, in_channels, in_channels, in_channels + 2)
        self.convs_all_levels = nn.ModuleList(
            tower(width, [channels] * max(level, 1)) for level, width in enumerate(widths)
        )
        self.conv_pred = conv_norm(channels, out_channels, 1, GROUP_NORM)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        finest, *coarser = pyramid
        coarser[-1] = with_coordinates(coarser[-1], "xy")
        total = self.convs_all_levels[0](finest)
        for x, convs in zip(coarser, self.convs_all_levels[1:], strict=True):
            assert isinstance(convs, nn.Sequential)
            for conv in convs:
                x = upsample(conv(x))
            total += x
        return self.conv_pred(total)
