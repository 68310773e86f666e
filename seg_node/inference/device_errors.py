# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Errors after which a GPU is lost to this process: CUDA answers every later call with the same error."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from seg_node.errors import Refused

_ACCELERATOR_ERROR: type[BaseException] | tuple[()] = getattr(torch, "AcceleratorError", ())  # since 2.8
# cudaError_t that CUDA recovers from: a wrong value, out of memory, a wrong launch, no such function, no
# kernel for this GPU, a wrong handle, not supported; 900 to 908: not allowed while a graph is recorded.
_PASSING = frozenset({1, 2, 9, 98, 209, 400, 801, *range(900, 909)})


class DeviceLost(Refused, RuntimeError):
    """This process can no longer use the device; a new process can."""

    def __init__(self, text: str) -> None:
        super().__init__("device_lost", text)


def is_lost(error: BaseException, device: torch.device) -> bool:
    """Return whether an error raised by work on the device means that the device is lost.

    Running out of memory is not a loss. AcceleratorError has a code; after other errors the GPU is queried.
    """
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return False
    if isinstance(error, _ACCELERATOR_ERROR) and getattr(error, "error_code", None) not in _PASSING:
        return True
    return device.type == "cuda" and not _answers(device)


@contextmanager
def watch_device(device: torch.device) -> Iterator[None]:
    """Raise DeviceLost in place of an error after which the device is lost; other errors pass unchanged."""
    try:
        yield
    except DeviceLost:
        raise
    except BaseException as error:
        if not is_lost(error, device):
            raise
        reason = str(error).partition("\n")[0]  # CUDA's advice for debugging follows
        raise DeviceLost(
            f"{device} is lost to this process ({type(error).__name__}: {reason}); start it again"
        ) from error


def _answers(device: torch.device) -> bool:
    try:
        torch.cuda.synchronize(device)
    except torch.cuda.OutOfMemoryError:
        return True
    except Exception:
        return False
    return True
