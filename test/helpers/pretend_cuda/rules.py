# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What a GPU refuses of single operators, and arithmetic that is not what was asked for."""

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pretend_cuda.broken import Broken, current_line
from pretend_cuda.tensor import PretendTensor
from pretend_cuda.waits import INDEXING

aten = torch.ops.aten

CONVOLUTIONS = {
    aten.convolution.default,
    aten.cudnn_convolution_relu.default,
    aten.cudnn_convolution_add_relu.default,
}
_PRODUCTS = {aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default}
# kernels for any device: they consist of operators that have kernels of their own
_FOR_ANY_DEVICE = (
    "CompositeExplicitAutograd",
    "CompositeImplicitAutograd",
    "CompositeExplicitAutogradNonFunctional",
)


def check_devices(operator: Any, values: Sequence[Any], device: torch.device) -> None:
    """All tensors on one device; on the CPU only numbers without dimension, and indices."""
    for value in values:
        if not isinstance(value, Tensor) or (isinstance(value, PretendTensor) and value.device == device):
            continue
        if value.device.type == "cpu" and (value.dim() == 0 or operator in INDEXING):
            continue
        raise Broken(f"{operator}: tensors on {device} and {value.device}")


def check_kernel(operator: Any) -> None:
    """There is one for CUDA; this PyTorch is built with it, so that its dispatcher knows."""
    name = operator.name()
    if not any(
        torch._C._dispatch_has_kernel_for_dispatch_key(name, key) for key in ("CUDA", *_FOR_ANY_DEVICE)
    ):
        raise Broken(f"{name} has no CUDA kernel")


def check_float32(operator: Any, values: Sequence[Any]) -> None:
    """float32 is not multiplied in TF32, which has 10 of its 23 bits."""
    first = next((value for value in values if isinstance(value, PretendTensor)), None)
    if first is None or first.dtype != torch.float32:
        return
    if operator in CONVOLUTIONS and torch.backends.cudnn.conv.fp32_precision == "tf32":
        raise Broken("a float32 convolution in TF32")
    if operator in _PRODUCTS and torch.backends.cuda.matmul.fp32_precision == "tf32":
        raise Broken("a float32 matrix product in TF32")


class Tunings(list[str]):
    """Lines of seg_node in which cuDNN searched its fastest algorithm: once for every new shape."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[tuple[Any, ...]] = set()

    def note(self, operator: Any, values: Sequence[Any]) -> None:
        if operator not in CONVOLUTIONS or not torch._C._get_cudnn_benchmark():
            return
        tensors = [value for value in values if isinstance(value, PretendTensor)]
        shapes = [(*tensor.shape, *tensor.stride(), tensor.dtype) for tensor in tensors]
        # cuDNN's handles, and what they know, belong to a thread
        key = (threading.get_ident(), operator, tensors[0].device, *shapes)
        if key not in self._known:
            self._known.add(key)
            self.append(current_line())
