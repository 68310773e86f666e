# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Pinned memory, and the copies between it and the device that go on while the host does something else."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pretend_cuda.broken import Broken
from pretend_cuda.tensor import storage_of


@dataclass(frozen=True)
class _Copy:
    """A copy under way. pinned: its end on the host. numbers: those that were to be copied when it began."""

    number: int
    pinned: Tensor
    numbers: Tensor
    is_upload: bool


class PinnedMemory:
    """begun: how many copies have begun; an event remembers it."""

    def __init__(self) -> None:
        self.begun = 0
        self._allocated: dict[int, Tensor] = {}  # by address; held, so that none is given out again
        self._under_way: list[_Copy] = []

    def allocate(self, tensor: Tensor, spoilt: bool = True) -> Tensor:
        """Declare the new tensor pinned. spoilt: it holds what another frame left there."""
        self._allocated[storage_of(tensor)] = tensor
        if spoilt:
            spoil(tensor)
        return tensor

    def holds(self, tensor: Tensor) -> bool:
        return storage_of(tensor) in self._allocated

    def begin_upload(self, source: Tensor) -> None:
        self._begin(source, source, is_upload=True)

    def begin_download(self, target: Tensor, numbers: Tensor) -> None:
        """The target holds nonsense until somebody waits."""
        spoil(target)
        self._begin(target, numbers, is_upload=False)

    def finish(self, until: int | None = None) -> None:
        """End the copies that began before number `until`; None: all.

        Raises Broken when the memory of an upload was changed before.
        """
        for copy in [copy for copy in self._under_way if until is None or copy.number < until]:
            self._under_way.remove(copy)
            if not copy.is_upload:
                copy.pinned.copy_(copy.numbers)
            elif not torch.equal(copy.pinned, copy.numbers):
                raise Broken("pinned memory was changed before the copy from it had ended")

    def _begin(self, pinned: Tensor, numbers: Tensor, is_upload: bool) -> None:
        self._under_way.append(_Copy(self.begun, pinned, numbers.clone(), is_upload))
        self.begun += 1


def spoil(tensor: Tensor) -> None:
    """Fill with what no result looks like."""
    if tensor.dtype.is_floating_point:
        tensor.fill_(torch.nan)
    else:
        tensor.fill_(0xAB if tensor.dtype == torch.uint8 else 1)
