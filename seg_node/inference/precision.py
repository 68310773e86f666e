# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Precision of a network's computation: agreement with its reference against speed.

exact   as the reference: float32, one channel after the other in memory, nothing merged, no TF32.
fp32    float32 in another order: batch norms merged into convolutions, channels innermost in memory. Results
        differ only by rounding.
bf16    as fp32, but convolutions and linear layers in bfloat16. Boxes, scores and masks stay float32.
fp16    the same in float16; for GPUs.
"""

import contextlib
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

from seg_node.choices import PRECISIONS, Precision
from seg_node.inference.processor import cpu_flags

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
# the layers that take most of a network's time; all others compute in their input's type
_CAST = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.GroupNorm, nn.BatchNorm2d)


def choose_precision(name: str, device: torch.device) -> Precision:
    """Return the precision of that name; "auto": the fastest that the device computes well in.

    Raises ValueError for another name, RuntimeError for one that the device does not support.
    """
    if name == "auto":
        return _fastest(device)
    if name not in PRECISIONS:
        raise ValueError(f"precision {name!r} is not known; use {', '.join(PRECISIONS)}")
    if name == "fp16" and device.type == "cpu":
        raise RuntimeError("precision fp16 is for GPUs: choose bf16, fp32 or auto on the CPU")
    return name  # type: ignore[return-value]  # one of its values, as checked


def own_precision(network: nn.Module, name: str) -> str:
    """Return the precision to run the network in: `exact` for an ONNX file, which computes as it was written.

    Raises ValueError for a precision that such a file does not have.
    """
    own = getattr(network, "file_precision", None)
    if own is None or name not in PRECISIONS:
        return name
    if name not in ("auto", "exact", own):
        raise ValueError(
            f"precision {name}: this ONNX file computes in {own}; choose auto, or export with half=True"
        )
    return "exact"


def _fastest(device: torch.device) -> Precision:
    if device.type == "cuda":
        # GPUs before Ampere have no units for bfloat16
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return "bf16" if has_bfloat16_units() else "fp32"


def has_bfloat16_units() -> bool:
    """Return whether this CPU multiplies matrices in bfloat16 faster than in float32 (Intel's AMX)."""
    return "amx_bf16" in cpu_flags().split()


class _FullFloat32:
    """A switch that counts its users: the settings are global, and several engines may run at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[Any] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Multiply float32 in all of its 23 bits, whatever the program has set: TF32 has 10, bfloat16 7.

        TF32 is PyTorch's default for convolutions on GPUs; `torch.set_float32_matmul_precision` brings it, or
        bfloat16, into linear layers on GPUs and CPUs.
        """
        with self._lock:
            if self._inside == 0:
                self._before = [getattr(owner, name) for owner, name, _ in _float32_settings()]
                for owner, name, full in _float32_settings():
                    setattr(owner, name, full)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    for (owner, name, _), value in zip(_float32_settings(), self._before, strict=True):
                        setattr(owner, name, value)


full_float32 = _FullFloat32()


def _float32_settings() -> list[tuple[Any, str, Any]]:
    """PyTorch's settings for float32 products: object, attribute, and its value for all bits."""
    cuda, cudnn, mkldnn = torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn
    if not hasattr(torch.backends, "fp32_precision"):  # before PyTorch 2.9
        return [(cudnn, "allow_tf32", False), (cuda.matmul, "allow_tf32", False)]
    # rnn, too: PyTorch's older functions raise where it differs from conv
    owners = cudnn.conv, cudnn.rnn, cuda.matmul, mkldnn.conv, mkldnn.matmul  # type: ignore[attr-defined]
    return [(owner, "fp32_precision", "ieee") for owner in owners]


def apply_precision(network: nn.Module, precision: Precision) -> None:
    """Convert the network in place, for inference only; `exact` leaves it as it is."""
    if precision == "exact":
        return
    for module in network.modules():
        _merge_norms(module)
    network.to(memory_format=torch.channels_last)
    if precision == "fp32":
        return
    for module in network.modules():
        if isinstance(module, _CAST):
            module.to(_HALF[precision])
            module.register_forward_pre_hook(_cast_input)


def _cast_input(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Cast a layer's input to its weights' type.

    Autocast would convert the weights again for every image, and choose by itself what else to convert.
    """
    assert isinstance(module.weight, Tensor)
    return tuple(x.to(module.weight.dtype) for x in inputs)


def _merge_norms(parent: nn.Module) -> None:
    """Merge each batch norm into the convolution right before it in the same parent.

    Assumes that children run in the order in which they are registered.
    """
    for (_, conv), (name, norm) in pairwise(list(parent.named_children())):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, (nn.BatchNorm2d, FrozenBatchNorm2d)):
            _merge(conv, norm)
            setattr(parent, name, nn.Identity())


def _merge(conv: nn.Conv2d, norm: nn.BatchNorm2d | FrozenBatchNorm2d) -> None:
    assert isinstance(norm.running_mean, Tensor) and isinstance(norm.running_var, Tensor)
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.weight, conv.bias = weight, bias
