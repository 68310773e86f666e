# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Tensors that report a CUDA device and hold their numbers on the CPU."""

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor

from pretend_cuda.broken import Broken


class PretendTensor(Tensor):
    """A tensor "on" cuda:N.

    host: its numbers, on the CPU; same shape, strides and type.
    lease: on its memory, which is given back with the last tensor that has one.
    """

    host: Tensor
    lease: Any
    run_operator: ClassVar[Callable[..., Any] | None] = None  # set while there is a device

    @staticmethod
    def __new__(cls, host: Tensor, device: torch.device, lease: Any = None) -> "PretendTensor":
        with torch.inference_mode(False):  # a parameter's views must not be inference tensors
            made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls,
                host.size(),
                strides=host.stride(),
                storage_offset=host.storage_offset(),
                dtype=host.dtype,
                layout=host.layout,
                device=device,
                requires_grad=False,
            )
        made.host, made.lease = host, lease
        return made

    @classmethod
    def __torch_dispatch__(
        cls, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if cls.run_operator is None:
            raise Broken(f"{operator} on a tensor of a device that is gone")
        return cls.run_operator(operator, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"PretendTensor({self.device}, {self.host})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "PretendTensor":
        return self.clone()  # type: ignore[return-value]

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, **_: Any) -> NoReturn:
        raise TypeError(f"can't convert {self.device} device type tensor to numpy")

    def data_ptr(self) -> int:
        return self.host.data_ptr()


def host_of(value: Any) -> Any:
    """The numbers of a tensor on the device; anything else as it is."""
    return value.host if isinstance(value, PretendTensor) else value


def storage_of(tensor: Tensor) -> int:
    """Address of the memory that a tensor on the CPU looks into; 0 for one without elements."""
    return tensor.untyped_storage().data_ptr() if tensor.numel() else 0
