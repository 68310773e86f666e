# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Transfers between host and GPU through pinned memory: uploads do not wait, downloads wait once."""

import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to the device without waiting for the device."""
    if device.type != "cuda":
        return tensor.to(device)
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    # PyTorch's allocator does not reuse the pinned memory before the copy from it has ended
    return pinned.copy_(tensor).to(device, non_blocking=True)


def download(tensor: Tensor) -> Tensor:
    """Copy the tensor to the CPU once the device has computed it."""
    if not tensor.is_cuda:
        return tensor
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return pinned
