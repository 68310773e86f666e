"""Convolution and activation in one call of oneDNN or cuDNN: a pass over the map less for each layer."""

import logging
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

logger = logging.getLogger(__name__)

# oneDNN's names; the operator is the one that torch.compile writes
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "hardtanh",
    nn.LeakyReLU: "leaky_relu",
}


class FusedConvolution(nn.Module):
    """The convolution with its activation, by oneDNN; the same numbers as one after the other."""

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
    """The convolution with its ReLU, by cuDNN, which rounds to half precision once instead of twice.

    cuDNN has no such kernel for some shapes and types; the layer then goes on with one after the other.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self._is_refused = False

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        x = x.to(conv.weight.dtype)
        assert isinstance(conv.padding, tuple)
        geometry = conv.stride, conv.padding, conv.dilation, conv.groups
        if not self._is_refused:
            try:
                return torch.cudnn_convolution_relu(x, conv.weight, conv.bias, *geometry)
            except torch.cuda.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._is_refused = True
                logger.info("cuDNN does not compute a convolution and its ReLU together: %s", error)
        return F.conv2d(x, conv.weight, conv.bias, *geometry).relu_()


def fuse_activations(network: nn.Module) -> None:
    """Every activation right behind a convolution of the same parent is computed by it.

    Children are taken to run in the order in which they are registered. On a GPU only ReLU behind
    convolutions with a bias and without groups: those with groups have kernels of PyTorch's own.
    """
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
    has_kernel = conv.groups == 1 and conv.bias is not None and isinstance(conv.padding, tuple)
    return CudnnConvolution(conv) if has_kernel and type(activation) is nn.ReLU else None
