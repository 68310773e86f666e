"""Errors after which a GPU is lost to this process: CUDA answers every later call with the same error."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from seg_node.errors import Refused

_ACCELERATOR_ERROR: type[BaseException] | tuple[()] = getattr(torch, "AcceleratorError", ())  # since 2.8
# cudaError_t after which CUDA goes on: a wrong value, out of memory, a wrong launch, no such function, no
# kernel for this GPU, a wrong handle, not supported; 900 to 908: what a graph's recording does not allow.
_PASSING = frozenset({1, 2, 9, 98, 209, 400, 801, *range(900, 909)})


class DeviceLost(Refused, RuntimeError):
    """The device cannot be used by this process any more; only another process can."""

    def __init__(self, text: str) -> None:
        super().__init__("device_lost", text)


def is_lost(error: BaseException, device: torch.device) -> bool:
    """Whether the device is lost, as far as an error of work on it shows.

    Running out of memory is not a loss. A GPU is asked after any error but AcceleratorError, which says so.
    """
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return False
    if isinstance(error, _ACCELERATOR_ERROR) and getattr(error, "error_code", None) not in _PASSING:
        return True
    return device.type == "cuda" and not _answers(device)


@contextmanager
def watch_device(device: torch.device) -> Iterator[None]:
    """Raise DeviceLost in place of an error after which the device is lost; others go through."""
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
