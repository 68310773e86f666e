# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Check of a Triton kernel against the torch function that it replaces."""

import logging
from collections.abc import Callable

import torch

logger = logging.getLogger(__name__)


def kernel_passes(task: str, compare: Callable[[], bool]) -> bool:
    """Whether the kernel builds here and matches the torch function; logs a warning if not.

    task: names the operation in the warning. compare: runs both and compares.
    Raises torch.cuda.OutOfMemoryError, which says nothing about the kernel, so that the check is repeated.
    """
    try:
        if compare():
            return True
        problem = "its results differ from PyTorch's"
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # Triton raises many kinds of errors; the torch function works without it
        problem = f"{type(error).__name__}: {error}"
    logger.warning("%s without the Triton kernel, which is slower: %s", task, problem)
    return False
