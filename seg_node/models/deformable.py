"""Modulated deformable convolution (DCNv2, Zhu et al. 2019), where a ResNet's checkpoint has it.

Tensor names are those of YOLACT++'s checkpoints (`external/DCNv2/dcn_v2.py: DCN`).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

_TAPS = 9
_OFFSETS = ".conv_offset_mask.weight"


class DeformableConv2d(nn.Module):
    """A convolution that takes each of its taps at a shifted place and with a weight of its own."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """conv: the plain one that it stands for, 3x3 with padding 1 in one group."""
        super().__init__()
        self.stride = conv.stride[0]
        self.weight = nn.Parameter(torch.empty_like(conv.weight))
        self.bias = nn.Parameter(torch.zeros(conv.out_channels))
        self.conv_offset_mask = nn.Conv2d(conv.in_channels, 3 * _TAPS, 3, self.stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        shifts = self.conv_offset_mask(x)
        offsets, mask = shifts[:, : 2 * _TAPS], shifts[:, 2 * _TAPS :].sigmoid()
        return deform_conv2d(x, offsets, self.weight, self.bias, self.stride, 1, mask=mask)


def make_deformable(network: nn.Module, tensor_names: Iterable[str]) -> None:
    """Replaces the convolutions for which there are tensors of offsets, by the network's own names."""
    for name in tensor_names:
        if name.endswith(_OFFSETS):
            parent, _, child = name.removesuffix(_OFFSETS).rpartition(".")
            block = network.get_submodule(parent)
            setattr(block, child, DeformableConv2d(getattr(block, child)))
