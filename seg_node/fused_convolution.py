"""Convolution and activation in one call of oneDNN, for CPUs: a pass over the map less for each layer."""

from itertools import pairwise

import torch
from torch import Tensor, nn

# oneDNN's names; the operator is the one that torch.compile writes
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "hardtanh",
    nn.LeakyReLU: "leaky_relu",
}


class FusedConvolution(nn.Module):
    """The convolution with its activation; the same numbers as one after the other."""

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


def fuse_activations(network: nn.Module) -> None:
    """Every activation right behind a convolution of the same parent is computed by it.

    Children are taken to run in the order in which they are registered.
    """
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return  # a PyTorch without oneDNN
    for parent in list(network.modules()):
        children = [pair for pair in parent.named_children() if not isinstance(pair[1], nn.Identity)]
        for (conv_name, conv), (name, activation) in pairwise(children):
            if type(conv) is nn.Conv2d and type(activation) in _ACTIVATIONS:
                setattr(parent, conv_name, FusedConvolution(conv, activation))
                setattr(parent, name, nn.Identity())
