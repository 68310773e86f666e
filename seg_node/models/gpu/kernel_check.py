"""Whether a Triton kernel may stand for the torch function that computes the same."""

import logging
from collections.abc import Callable

import torch

logger = logging.getLogger(__name__)


def kernel_passes(task: str, compare: Callable[[], bool]) -> bool:
    """Whether the kernel can be built here and gives what the torch function gives; a warning says why not.

    task: for the warning, what is done with or without it. compare: runs both and compares.
    Raises torch.cuda.OutOfMemoryError, which says nothing about the kernel, so that it is asked again.
    """
    try:
        if compare():
            return True
        problem = "its results differ from PyTorch's"
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # Triton raises errors of many kinds; the torch function needs none of it
        problem = f"{type(error).__name__}: {error}"
    logger.warning("%s without the Triton kernel, which is slower: %s", task, problem)
    return False
