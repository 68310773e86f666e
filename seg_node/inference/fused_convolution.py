# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Convolution and activation in one call of oneDNN or cuDNN, which saves a pass over each layer's map."""

import logging
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seg_node.models.layers.backbones import Block

logger = logging.getLogger(__name__)

# oneDNN's names; torch.compile emits the same operator
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "hardtanh",
    nn.LeakyReLU: "leaky_relu",
}


class FusedConvolution(nn.Module):
    """A convolution and its activation in one call of oneDNN; the result is the same."""

    def __init__(self, conv: nn.Conv2d, activation: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.name = _ACTIVATIONS[type(activation)]
        self.scalars = [0.0, 6.0] if isinstance(activation, nn.ReLU6) else []
        if isinstance(activation, nn.LeakyReLU):
            self.scalars = [activation.negative_slope]

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        return torch.ops.mkldnn._convolution_pointwise(
            x.to(conv.weight.dtype), conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation,
            conv.groups, self.name, self.scalars, "",
        )  # fmt: skip


class CudnnConvolution(nn.Module):
    """ReLU of the convolution, or of its sum with a shortcut of its shape, in one kernel of cuDNN.

    Where cuDNN has no kernel for a shape or type, the layer falls back to separate kernels for good.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self._is_refused = False

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        conv = self.conv
        x = x.to(conv.weight.dtype)
        assert isinstance(conv.padding, tuple)
        geometry = conv.stride, conv.padding, conv.dilation, conv.groups
        if not self._is_refused:
            try:
                if shortcut is None:
                    return torch.cudnn_convolution_relu(x, conv.weight, conv.bias, *geometry)
                shortcut = shortcut.to(x.dtype)
                return torch.cudnn_convolution_add_relu(x, conv.weight, shortcut, 1, conv.bias, *geometry)
            except torch.cuda.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._is_refused = True
                logger.info("cuDNN does not compute a convolution and its ReLU together: %s", error)
        y = F.conv2d(x, conv.weight, conv.bias, *geometry)
        return (y if shortcut is None else y.add_(shortcut)).relu_()


class CudnnBlock(nn.Module):
    """A residual block whose last convolution adds the shortcut."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        layers = [layer for name, layer in block.named_children() if name != "downsample"]
        *first, last, _ = layers  # the last norm is merged
        assert isinstance(last, nn.Conv2d)
        self.first, self.last, self.downsample = (
            nn.Sequential(*first),
            CudnnConvolution(last),
            block.downsample,
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.last(self.first(x), shortcut)


def fuse_activations(network: nn.Module) -> None:
    """Fuse each convolution with the activation right behind it in the same parent.

    Assumes that children run in the order in which they are registered. On a GPU only ReLU is fused, behind
    convolutions with a bias and without groups (grouped ones have kernels of PyTorch's own), and at the end
    of residual blocks.
    """
    for parent in list(network.modules()):
        for name, block in list(parent.named_children()):
            if isinstance(block, Block) and _ends_in_cudnn(block):
                setattr(parent, name, CudnnBlock(block))
    for parent in list(network.modules()):
        children = [pair for pair in parent.named_children() if not isinstance(pair[1], nn.Identity)]
        for (conv_name, conv), (name, activation) in pairwise(children):
            fused = _fused(conv, activation)
            if fused is not None:
                setattr(parent, conv_name, fused)
                setattr(parent, name, nn.Identity())


def _fused(conv: nn.Module, activation: nn.Module) -> nn.Module | None:
    if type(conv) is not nn.Conv2d or type(activation) not in _ACTIVATIONS:
        return None
    if not conv.weight.is_cuda:
        has_onednn = hasattr(torch.ops.mkldnn, "_convolution_pointwise")  # not every PyTorch is built with it
        return FusedConvolution(conv, activation) if has_onednn else None
    return CudnnConvolution(conv) if type(activation) is nn.ReLU and _suits_cudnn(conv) else None


def _ends_in_cudnn(block: Block) -> bool:
    last, norm = (block.conv3, block.bn3) if block.bottleneck else (block.conv2, block.bn2)
    return type(last) is nn.Conv2d and isinstance(norm, nn.Identity) and _suits_cudnn(last)


def _suits_cudnn(conv: nn.Conv2d) -> bool:
    return (
        conv.weight.is_cuda and conv.groups == 1 and conv.bias is not None and isinstance(conv.padding, tuple)
    )
