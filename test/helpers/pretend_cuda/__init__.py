# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A CUDA device that is not there: real numbers on the CPU, under a GPU's rules.

Inside `pretend_cuda()` tensors on "cuda:N" report that device and hold their numbers on the CPU. Broken is
raised for what a GPU would refuse or compute wrongly:

- tensors of two devices in one operator; operators without a CUDA kernel (rules.py)
- what makes the host wait, while a graph is recorded; otherwise it is noted in `gpu.waits` (waits.py)
- pinned memory that is changed before the copy from it has ended (pinned.py, copies.py)
- uploads, and allocations of pinned memory, while a graph is recorded; replays of graphs that read memory
  which was given back (graphs.py)
- TF32 in float32 layers (rules.py)

Pinned memory that is read too early, and a graph's answer after another graph of its pool has run, hold
nonsense.

It counts kernels and bytes (`gpu.log`, kernels.py), graphs (`gpu.captures`), searches of cuDNN
(`gpu.tunings`) and memory (`gpu.memory`, with a limit to run out of).

Not emulated: the order between streams (all work is done as it is queued), how fast anything is, rounding
that is CUDA's own, Triton's kernels.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from pretend_cuda.broken import Broken
from pretend_cuda.device import PretendGpu, Wait
from pretend_cuda.graphs import CUDAGraph, graph
from pretend_cuda.kernels import Work
from pretend_cuda.streams_events import DeviceGuard, Event, Stream
from pretend_cuda.tensor import PretendTensor

__all__ = ["Broken", "PretendGpu", "PretendTensor", "Wait", "Work", "pretend_cuda"]


@contextlib.contextmanager
def pretend_cuda(
    *, devices: int = 2, log: bool = True, capability: tuple[int, int] = (9, 0)
) -> Iterator[PretendGpu]:
    """So many CUDA devices, for this thread; afterwards there are none again.

    log: keep `gpu.log`, which takes time. capability: as torch.cuda.get_device_capability gives it.
    """
    gpu = PretendGpu(log)
    with contextlib.ExitStack() as stack:
        for name, value in _replacements(gpu, devices, capability).items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch.object(PretendTensor, "run_operator", gpu.run))
        stack.enter_context(_torch_without_driver())
        stack.enter_context(gpu)
        yield gpu


@contextlib.contextmanager
def _torch_without_driver() -> Iterator[None]:
    """PyTorch's own switches for tensors of another class, as FakeTensorMode sets them."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._ensureCUDADeviceGuardSet()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device="cuda") uploads
    try:
        yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        torch._C._set_only_lift_cpu_tensors(False)


def _replacements(gpu: PretendGpu, devices: int, capability: tuple[int, int]) -> dict[str, Any]:
    """What torch.cuda has beside tensors."""
    stream, event, cuda_graph, guard = (
        type(kind.__name__, (kind,), {"gpu": gpu}) for kind in (Stream, Event, CUDAGraph, DeviceGuard)
    )
    gpu.make_event = event  # type: ignore[assignment]
    properties = SimpleNamespace(
        name="Pretended GPU",
        major=capability[0],
        minor=capability[1],
        multi_processor_count=132,
        total_memory=gpu.memory.limit,
    )

    def set_device(device: Any) -> None:
        gpu.current_device = gpu.with_index(device)

    def empty_cache() -> None:
        gpu.emptied += 1

    return {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda including_emulation=True: True,
        "device_count": lambda: devices,
        "set_device": set_device,
        "current_device": lambda: gpu.current_device.index,
        "get_device_name": lambda device=None: properties.name,
        "get_device_capability": lambda device=None: capability,
        "get_device_properties": lambda device=None: properties,
        "device": guard,
        "stream": guard,
        "Stream": stream,
        "current_stream": stream,
        "default_stream": stream,
        "Event": event,
        "synchronize": lambda device=None: gpu.wait("torch.cuda.synchronize"),
        "CUDAGraph": cuda_graph,
        "graph": partial(graph, gpu),
        "graph_pool_handle": object,
        "is_current_stream_capturing": lambda: gpu.recording is not None,
        "empty_cache": empty_cache,
        "memory_allocated": lambda device=None: gpu.memory.used,
        "max_memory_allocated": lambda device=None: gpu.memory.most_used,
        "mem_get_info": lambda device=None: (gpu.memory.limit - gpu.memory.used, gpu.memory.limit),
    }
