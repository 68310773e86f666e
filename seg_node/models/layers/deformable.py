# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Deformable convolutions (Dai et al. 2017; modulated: Zhu et al. 2019) of checkpoints that have them.

Sources: mmcv `ops/dcn/deform_conv.py: DeformConvPack, ModulatedDeformConvPack`, dbolya/yolact
`external/DCNv2/dcn_v2.py: DCN`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

_OFFSETS = ".conv_offset.weight"


class DeformableConv2d(nn.Module):
    """Convolution that samples each tap at a shifted place; if modulated, with a weight of its own."""

    def __init__(self, conv: nn.Conv2d, modulated: bool, bias: bool) -> None:
        """Replace `conv`, a square convolution whose padding keeps the size."""
        super().__init__()
        kernel, self.stride = conv.kernel_size[0], conv.stride[0]
        self.taps, self.padding = kernel**2, kernel // 2
        self.weight = nn.Parameter(torch.empty_like(conv.weight))
        self.bias = nn.Parameter(torch.empty(conv.out_channels)) if bias else None
        # vertical and horizontal shift of each tap in turn, then the weights
        channels = (3 if modulated else 2) * self.taps
        self.conv_offset = nn.Conv2d(conv.in_channels, channels, kernel, self.stride, self.padding)

    def forward(self, x: Tensor) -> Tensor:
        """Compute in float32 for any x: shifts of many pixels lose their fractions in half precision."""
        shifts, x = self.conv_offset(x).float(), x.float()
        offsets, weights = shifts[:, : 2 * self.taps], shifts[:, 2 * self.taps :]
        mask = weights.sigmoid() if weights.shape[1] else None
        return deform_conv2d(x, offsets, self.weight, self.bias, self.stride, self.padding, mask=mask)


def make_deformable(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Replace the network's convolutions that have offsets among the tensors, which have its names.

    Offsets that belong to no convolution of the network are left over.
    """
    modules = dict(network.named_modules())
    for name, tensor in tensors.items():
        place = name.removesuffix(_OFFSETS)
        conv = modules.get(place)
        if name.endswith(_OFFSETS) and isinstance(conv, nn.Conv2d):
            parent, _, child = place.rpartition(".")
            modulated = tensor.shape[0] == 3 * conv.kernel_size[0] ** 2
            setattr(modules[parent], child, DeformableConv2d(conv, modulated, f"{place}.bias" in tensors))
