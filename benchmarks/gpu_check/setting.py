# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""On what a part runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from gpu_check.report import LeftOut

HOST = torch.device("cpu")


@dataclass(frozen=True)
class Setting:
    """pretend: the device is emulated on the CPU, so times and memory mean nothing.

    argument: what follows the dot of the part's name.
    """

    pretend: bool
    argument: str = ""

    @property
    def device(self) -> torch.device:
        return torch.device("cuda", 0)

    def need_gpu(self) -> None:
        """Raises LeftOut on the emulated device."""
        if self.pretend:
            raise LeftOut("only a real GPU can answer this")


@contextmanager
def emulated() -> Iterator[None]:
    """A CUDA device of the tests, whose rules are a GPU's and whose arithmetic is the CPU's."""
    from pretend_cuda import pretend_cuda

    with pretend_cuda(log=False):
        yield
