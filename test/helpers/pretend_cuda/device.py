# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The device: every operator on it is checked, run on the CPU, and recorded where a graph is."""

import threading
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from pretend_cuda import copies, rules
from pretend_cuda.broken import Broken, current_line
from pretend_cuda.graphs import CUDAGraph, Recording, Step
from pretend_cuda.kernels import ON_THE_CPU, Work, describe
from pretend_cuda.memory import Memory
from pretend_cuda.pinned import PinnedMemory
from pretend_cuda.streams_events import Event
from pretend_cuda.tensor import PretendTensor, host_of
from pretend_cuda.waits import reason_to_wait

aten = torch.ops.aten
_EMPTY = (aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty)
_NUMBERS = {aten._local_scalar_dense.default, aten.equal.default}  # operators that answer to Python


class Wait(NamedTuple):
    """Where the host waited, and for what."""

    reason: str
    line: str


class PretendGpu(TorchDispatchMode):
    """All devices of the machine. Other threads allocate on it inside a `with gpu:` of their own.

    waits: of the host for the device. log: all work, if wanted. captures, replays: of graphs. tunings: of
    cuDNN. emptied: calls of empty_cache.
    """

    def __init__(self, keep_log: bool) -> None:
        super().__init__()
        self.waits: list[Wait] = []
        self.log: list[Work] = []
        self.tunings = rules.Tunings()
        self.captures = self.replays = self.emptied = 0
        self.memory, self.pinned = Memory(), PinnedMemory()
        self.current_device = torch.device("cuda", 0)
        self.capture_device: torch.device | None = None
        self.graphs: weakref.WeakSet[CUDAGraph] = weakref.WeakSet()
        self.any_recording: Recording | None = None  # of whatever thread
        self.make_event: type[Event] = Event
        self._keep_log = keep_log

    @property
    def recording(self) -> Recording | None:
        """The graph that this thread records."""
        recording = self.any_recording
        return recording if recording is not None and recording.thread == threading.get_ident() else None

    def with_index(self, device: Any) -> torch.device:
        """The device with its number; the current one for None and "cuda"."""
        if device is None:
            return self.current_device
        device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
        return self.current_device if device == torch.device("cuda") else device

    def wait(self, reason: str, until: int | None = None) -> None:
        """The host waits, for copies that began before number `until` or for all."""
        recording = self.any_recording
        if self.recording is not None:
            raise Broken(f"{reason}: not permitted while a graph is recorded")
        if recording is not None and recording.error_mode == "global":
            raise Broken(f"{reason}: ends the graph that another thread records in capture_error_mode global")
        self.waits.append(Wait(reason, current_line()))
        self.pinned.finish(until)

    def synchronise(self) -> None:
        """End all copies; it is not counted as a wait."""
        self.pinned.finish()

    def note_work(self, work: Work) -> None:
        if self._keep_log:
            self.log.append(work)

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self.run(operator, args, kwargs or {})

    def run(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One operator, with tensors of the device, of the host or without any."""
        if torch.is_inference_mode_enabled():  # in which operators that consist of others come whole
            with self:
                parts = operator.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        values, spec = tree_flatten((args, kwargs))
        on_device = [value for value in values if isinstance(value, PretendTensor)]
        wanted = kwargs.get("device")
        wants_device = wanted is not None and torch.device(wanted).type == "cuda"
        if not on_device and not wants_device:
            return self._run_on_host(operator, args, kwargs)
        if operator in copies.COPIES:
            return copies.copy(self, operator, args, kwargs)
        host_args, host_kwargs = tree_unflatten([host_of(value) for value in values], spec)
        if on_device and wanted is not None and not wants_device:
            return operator(*host_args, **host_kwargs)  # as new_zeros(device="cpu"), which reads nothing
        device = on_device[0].device if on_device else self.with_index(wanted)
        self._check(operator, args, kwargs, values, device)
        if wants_device:
            if kwargs.get("pin_memory"):
                raise Broken("pinned memory on the device")
            host_kwargs["device"] = torch.device("cpu")
        runs = ON_THE_CPU.get(operator, operator)
        step = Step(runs, host_args, host_kwargs, runs(*host_args, **host_kwargs))
        return self.finish(operator, step, device, on_device)

    def finish(
        self, operator: Any, step: Step, device: torch.device, given: Sequence[PretendTensor] = ()
    ) -> Any:
        """Log and record a step that has run; its answer, on the device.

        operator: as it was called; the step has what ran on the CPU. given: tensors that it may return.
        """
        if operator in _NUMBERS:
            return step.answer
        recording = self.recording
        if recording is not None:
            recording.add(step, self.memory)
        self._log_step(operator, step)
        known = {id(tensor.host): tensor for tensor in given}

        def wrap(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            if id(value) not in known:
                return PretendTensor(value, device, self.memory.lease(value))
            same = known[id(value)]
            if (same.shape, same.stride()) != (value.shape, value.stride()):
                raise Broken(f"{operator} changed a tensor's shape in place")
            return same

        return tree_map(wrap, step.answer)

    def _check(
        self,
        operator: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        values: Sequence[Any],
        device: torch.device,
    ) -> None:
        rules.check_devices(operator, values, device)
        rules.check_kernel(operator)
        rules.check_float32(operator, values)
        recording = self.recording
        if recording is not None and recording.device != device:
            raise Broken(f"{operator} on {device} while a graph of {recording.device} is recorded")
        reason = reason_to_wait(operator, args, kwargs)
        if reason is not None:
            self.wait(reason)
        self.tunings.note(operator, values)

    def _log_step(self, operator: Any, step: Step) -> None:
        if not (self._keep_log or self.recording):
            return
        inputs = [x for x in tree_leaves((step.args, step.kwargs)) if isinstance(x, Tensor)]
        outputs = [x for x in tree_leaves(step.answer) if isinstance(x, Tensor)]
        work = describe(operator, inputs, outputs, self.recording is not None)
        self.note_work(work)
        if self.recording is not None:
            self.recording.kernels += work.kernels

    def _run_on_host(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if operator is aten.is_pinned.default:
            return self.pinned.holds(args[0])
        if not kwargs.get("pin_memory") and operator is not aten._pin_memory.default:
            return operator(*args, **kwargs)
        if self.recording is not None:
            raise Broken("pinned memory is allocated while a graph is recorded")
        if operator is aten._pin_memory.default:
            pinned = self.pinned.allocate(torch.empty_like(args[0]))
            return pinned.copy_(args[0])
        made = operator(*args, **{**kwargs, "pin_memory": False})
        is_empty = operator.overloadpacket in _EMPTY  # the others fill what they make
        return self.pinned.allocate(made, spoilt=is_empty)
