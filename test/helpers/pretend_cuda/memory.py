# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The device's memory: how much of it tensors and graphs hold, and a limit to run out of."""

from collections import Counter

import torch
from torch import Tensor


class Lease:
    """One holder of a piece of memory; the last holder's end frees it."""

    __slots__ = ("_address", "_memory")

    def __init__(self, memory: "Memory", address: int) -> None:
        self._memory, self._address = memory, address

    def __del__(self) -> None:
        self._memory.end(self._address)


class Memory:
    """limit: bytes that the device has; tests lower it. used, most_used: bytes held now, and at most so far.

    A graph holds all that was allocated while it was recorded: CUDA, which uses memory again within a graph,
    takes less.
    """

    def __init__(self) -> None:
        self.limit = 1 << 37
        self.used = self.most_used = 0
        self._holders: Counter[int] = Counter()
        self._bytes: dict[int, int] = {}

    def lease(self, host: Tensor) -> Lease | None:
        """Count the memory of the tensor as held. Raises torch.cuda.OutOfMemoryError beyond the limit."""
        storage = host.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if address == 0 or size == 0:
            return None
        if not self._holders[address]:
            if self.used + size > self.limit:
                raise torch.cuda.OutOfMemoryError(
                    f"CUDA out of memory. Tried to allocate {size} bytes, {self.used} of {self.limit} used"
                )
            self.used += size
            self.most_used = max(self.used, self.most_used)
            self._bytes[address] = size
        self._holders[address] += 1
        return Lease(self, address)

    def holds(self, address: int) -> bool:
        return address in self._bytes

    def end(self, address: int) -> None:
        self._holders[address] -= 1
        if not self._holders[address]:
            del self._holders[address]
            self.used -= self._bytes.pop(address)
