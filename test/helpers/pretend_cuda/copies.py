# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Copies: within the device, and between it and the host."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pretend_cuda.broken import Broken
from pretend_cuda.graphs import Step
from pretend_cuda.kernels import describe_copy
from pretend_cuda.tensor import PretendTensor, host_of, storage_of

if TYPE_CHECKING:
    from pretend_cuda.device import PretendGpu

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
_OF_THE_DEVICE = ("device", "pin_memory", "non_blocking")


def copy(gpu: "PretendGpu", operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operator of COPIES gives, where one side is on a device."""
    if operator is aten.copy_.default:
        is_async = bool(args[2]) if len(args) > 2 else bool(kwargs.get("non_blocking"))
        return _copy_into(gpu, args[0], args[1], is_async)
    (source,) = args
    options = {name: value for name, value in kwargs.items() if name not in _OF_THE_DEVICE}
    device = gpu.with_index(kwargs["device"]) if kwargs.get("device") is not None else source.device
    return _to_device(gpu, source, device, options, bool(kwargs.get("non_blocking")))


def _to_device(
    gpu: "PretendGpu", source: Tensor, device: torch.device, options: dict[str, Any], is_async: bool
) -> Tensor:
    host = host_of(source)
    made = aten._to_copy.default(host, **options)
    if made.numel() and storage_of(made) == storage_of(host):
        made = made.clone()
    if source.device.type != "cuda":
        _upload(gpu, host, made, is_async)
    elif device.type != "cuda":
        if is_async:
            raise Broken("a download into pageable memory that does not wait: its numbers are not there yet")
        gpu.wait("download")
        gpu.note_work(describe_copy("download", made))
        return made
    else:
        _check_same_device(source.device, device)
        return gpu.finish(aten._to_copy.default, Step(aten._to_copy.default, (host,), options, made), device)
    return PretendTensor(made, device, gpu.memory.lease(made))


def _copy_into(gpu: "PretendGpu", target: Tensor, source: Tensor, is_async: bool) -> Tensor:
    if isinstance(target, PretendTensor) and isinstance(source, PretendTensor):
        _check_same_device(source.device, target.device)
        step = Step(aten.copy_.default, (target.host, source.host), {}, target.host.copy_(source.host))
        gpu.finish(aten.copy_.default, step, target.device, [target])
    elif isinstance(target, PretendTensor):
        target.host.copy_(source)
        _upload(gpu, source, target.host, is_async)
    else:
        assert isinstance(source, PretendTensor)
        if gpu.recording is not None:
            raise Broken("a download while a graph is recorded")
        if is_async and gpu.pinned.holds(target):
            gpu.pinned.begin_download(target, source.host.to(target.dtype).expand_as(target))
        else:
            target.copy_(source.host)
            gpu.wait(
                "download into pageable memory" if not gpu.pinned.holds(target) else "download, blocking"
            )
        gpu.note_work(describe_copy("download", target))
    return target


def _upload(gpu: "PretendGpu", source: Tensor, made: Tensor, is_async: bool) -> None:
    if gpu.recording is not None:
        raise Broken("an upload from the host while a graph is recorded")
    if is_async and gpu.pinned.holds(source):
        gpu.pinned.begin_upload(source)
    else:
        gpu.wait("upload, blocking" if gpu.pinned.holds(source) else "upload from pageable memory")
    gpu.note_work(describe_copy("upload", made))


def _check_same_device(source: torch.device, target: torch.device) -> None:
    if source != target:
        raise Broken(f"a copy from {source} to {target}")
