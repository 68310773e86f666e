# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs: operators recorded with their memory, and run again into it."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from pretend_cuda.broken import Broken
from pretend_cuda.memory import Lease, Memory
from pretend_cuda.pinned import spoil
from pretend_cuda.tensor import storage_of

if TYPE_CHECKING:
    from pretend_cuda.device import PretendGpu


class Step(NamedTuple):
    """An operator, and what it was given and gave, on the host."""

    operator: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    answer: Any


@dataclass
class Recording:
    """A graph in the making, or made.

    made: tensors whose memory was allocated for it, by address; leases: on that memory.
    read: addresses of other memory.
    """

    thread: int
    device: torch.device
    error_mode: str
    pool: object
    steps: list[Step] = field(default_factory=list)
    made: dict[int, Tensor] = field(default_factory=dict)
    leases: list[Lease | None] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    kernels: int = 0

    def add(self, step: Step, memory: Memory) -> None:
        inputs = {storage_of(value) for value in tree_leaves((step.args, step.kwargs)) if _has_memory(value)}
        self.read |= {address for address in inputs - self.made.keys() if memory.holds(address)}
        self.steps.append(step)
        for tensor in tree_leaves(step.answer):
            if _has_memory(tensor) and storage_of(tensor) not in inputs:
                self.made[storage_of(tensor)] = tensor
                self.leases.append(memory.lease(tensor))

    def run_again(self) -> None:
        with _disable_current_modes():
            for step in self.steps:
                again = step.operator(*step.args, **step.kwargs)
                for old, new in zip(tree_leaves(step.answer), tree_leaves(again), strict=True):
                    if _has_memory(old) and storage_of(old) != storage_of(new):
                        old.copy_(new)


class CUDAGraph:
    gpu: ClassVar["PretendGpu"]

    def __init__(self, keep_graph: bool = False) -> None:
        self.recording: Recording | None = None

    def replay(self) -> None:
        """Run again. What other graphs of the same pool left in their memory is lost."""
        if self.recording is None:
            raise Broken("replay of a graph that holds nothing")
        if self.gpu.recording is not None:
            raise Broken("replay while a graph is recorded")
        if not all(self.gpu.memory.holds(address) for address in self.recording.read):
            raise Broken("replay of a graph that reads memory which was given back")
        for graph in self.gpu.graphs:
            other = graph.recording
            if other is not None and other is not self.recording and other.pool is self.recording.pool:
                with _disable_current_modes():
                    for tensor in other.made.values():
                        spoil(tensor)
        self.gpu.replays += 1
        self.recording.run_again()

    def reset(self) -> None:
        self.recording = None

    def pool(self) -> object:
        return self.recording.pool if self.recording else None


@contextlib.contextmanager
def graph(
    gpu: "PretendGpu",
    cuda_graph: CUDAGraph,
    pool: object = None,
    stream: Any = None,
    capture_error_mode: str = "global",
) -> Iterator[None]:
    """As torch.cuda.graph: one at a time; without `stream` on the device of the first graph ever."""
    if gpu.any_recording is not None:
        raise Broken("a graph is recorded while another one is")
    gpu.wait("torch.cuda.synchronize, before a graph is recorded")
    if stream is None:
        gpu.capture_device = gpu.capture_device or gpu.current_device
    device = stream.device if stream is not None else gpu.capture_device
    recording = Recording(threading.get_ident(), device, capture_error_mode, pool or object())
    gpu.any_recording = recording
    try:
        yield
        cuda_graph.recording = recording
        gpu.graphs.add(cuda_graph)
        gpu.captures += 1
    finally:
        gpu.any_recording = None


def _has_memory(value: Any) -> bool:
    return isinstance(value, Tensor) and value.numel() > 0
