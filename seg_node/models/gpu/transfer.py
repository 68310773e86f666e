"""Tensors between host and GPU through pinned memory: uploading does not wait, downloading waits once."""

import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor, which is on the CPU, on the device; without waiting for what the device does."""
    if device.type != "cuda":
        return tensor.to(device)
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    # PyTorch's allocator gives the pinned memory to nobody else before the copy from it has ended
    return pinned.copy_(tensor).to(device, non_blocking=True)


def download(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, once the device has made it."""
    if not tensor.is_cuda:
        return tensor
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    pinned.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return pinned
