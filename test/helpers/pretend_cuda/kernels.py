# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A log of what the device was made to do, for counting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pretend_cuda.broken import current_line
from pretend_cuda.tensor import storage_of

_VIEWS = {"aten::view", "aten::_unsafe_view", "aten::detach", "aten::alias", "aten::lift_fresh"}


@dataclass(frozen=True)
class Work:
    """One operator, or one copy between host and device ("upload", "download").

    kernels: 1, or 0 for copies and for operators that only look at memory differently. bytes_read,
    bytes_written: of its tensors, each counted once. is_recorded: for a graph. line: of seg_node.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    kernels: int
    bytes_read: int
    bytes_written: int
    is_recorded: bool
    line: str


def describe(operator: Any, inputs: Sequence[Tensor], outputs: Sequence[Tensor], is_recorded: bool) -> Work:
    """inputs, outputs: on the host."""
    view = _is_view(operator, inputs, outputs)
    return Work(
        operator.name(),
        tuple(tuple(tensor.shape) for tensor in inputs),
        0 if view else 1,
        0 if view else sum(tensor.nbytes for tensor in inputs),
        0 if view else sum(tensor.nbytes for tensor in outputs),
        is_recorded,
        current_line(),
    )


def describe_copy(name: str, tensor: Tensor) -> Work:
    return Work(name, (tuple(tensor.shape),), 0, tensor.nbytes, tensor.nbytes, False, current_line())


def _is_view(operator: Any, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bool:
    if operator.name() in _VIEWS or "empty" in operator.name():
        return True
    if operator._schema.is_mutable or not outputs:
        return False
    known = {storage_of(tensor) for tensor in inputs}
    return all(storage_of(tensor) in known or not tensor.numel() for tensor in outputs)


def convolution_relu(x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any) -> Tensor:
    """cuDNN's fused operator, which only CUDA has; geometry: stride, padding, dilation, groups."""
    stride, padding, dilation, groups = geometry
    return torch.conv2d(x, weight, bias, stride, padding, dilation, groups).relu_()


def convolution_add_relu(
    x: Tensor, weight: Tensor, z: Tensor, alpha: float | None, bias: Tensor | None, *geometry: Any
) -> Tensor:
    stride, padding, dilation, groups = geometry
    y = torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    return y.add_(z, alpha=1 if alpha is None else alpha).relu_()


def batch_norm(x: Tensor, *parameters: Any) -> tuple[Tensor, ...]:
    """As cudnn_batch_norm, whose fourth output is memory for training."""
    out = torch.ops.aten.native_batch_norm.default(x, *parameters)
    return (*out, torch.empty(0, dtype=torch.uint8))


def softmax(x: Tensor, dim: int, half_to_float: bool) -> Tensor:
    return torch.softmax(x.float() if half_to_float else x, dim)


ON_THE_CPU = {
    torch.ops.aten._softmax.default: softmax,
    torch.ops.aten.cudnn_batch_norm.default: batch_norm,
    torch.ops.aten.cudnn_convolution_relu.default: convolution_relu,
    torch.ops.aten.cudnn_convolution_add_relu.default: convolution_add_relu,
}
