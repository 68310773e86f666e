# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Which errors lose a frame, and which lose the GPU for the process."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seg_node.inference.device_errors import DeviceLost, is_lost, watch_device
from seg_node.inference.engine import Engine, OutOfMemory
from seg_node.models.load import load_model
from seg_node.types import Frame

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
ASSERT, ILLEGAL_ADDRESS, INVALID_VALUE, MEMORY, CAPTURE = 710, 700, 1, 2, 900  # cudaError_t

needs_accelerator_error = pytest.mark.skipif(
    not hasattr(torch, "AcceleratorError"), reason="PyTorch before 2.8"
)


def accelerator_error(code: int | None = None) -> RuntimeError:
    """Build the error that PyTorch raises for a CUDA error."""
    error: RuntimeError = torch.AcceleratorError("CUDA error: of its own\nCompile with TORCH_USE_CUDA_DSA …")
    if code is not None:
        error.error_code = code  # type: ignore[attr-defined]
    return error


def device_that(monkeypatch: pytest.MonkeyPatch, raises: BaseException | None) -> list[torch.device]:
    """Record the devices that were queried."""
    asked: list[torch.device] = []

    def synchronize(device: torch.device) -> None:
        asked.append(device)
        if raises is not None:
            raise raises

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    return asked


@needs_accelerator_error
@pytest.mark.parametrize(
    ("code", "lost"),
    [
        (None, True),
        (ASSERT, True),
        (ILLEGAL_ADDRESS, True),
        (INVALID_VALUE, False),
        (MEMORY, False),
        (CAPTURE, False),
    ],
)
@pytest.mark.parametrize("device", [CPU, GPU])
def test_an_error_of_the_accelerator_is_a_loss_unless_cuda_goes_on_after_it(
    monkeypatch: pytest.MonkeyPatch, code: int | None, lost: bool, device: torch.device
) -> None:
    device_that(monkeypatch, raises=None)
    assert is_lost(accelerator_error(code), device) is lost


@pytest.mark.parametrize(
    "error", [RuntimeError("cuDNN error"), ValueError("of a library"), OutOfMemory("no")]
)
def test_after_other_errors_the_gpu_is_queried(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    asked = device_that(monkeypatch, raises=None)
    assert not is_lost(error, GPU) and asked == [GPU]
    asked = device_that(monkeypatch, raises=RuntimeError("CUDA error: unspecified launch failure"))
    assert is_lost(error, GPU) and asked == [GPU]
    device_that(monkeypatch, raises=torch.cuda.OutOfMemoryError("out of memory"))
    assert not is_lost(error, GPU)


def test_neither_memory_nor_the_cpu_is_ever_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = device_that(monkeypatch, raises=RuntimeError("CUDA error"))
    assert not is_lost(torch.cuda.OutOfMemoryError("CUDA out of memory"), GPU)
    assert not is_lost(RuntimeError("shapes differ"), CPU)
    assert not is_lost(KeyError("no such layer"), CPU)
    assert asked == []


@needs_accelerator_error
def test_a_loss_is_one_line_with_its_cause_and_other_errors_go_through() -> None:
    with pytest.raises(DeviceLost) as lost, watch_device(GPU), watch_device(GPU):
        raise accelerator_error(ASSERT)
    assert str(lost.value) == (
        "cuda:0 is lost to this process (AcceleratorError: CUDA error: of its own); start it again"
    )
    with pytest.raises(KeyError), watch_device(CPU):
        raise KeyError("no such layer")


@needs_accelerator_error
def test_an_engine_says_when_its_device_is_lost(
    thin_checkpoint: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(load_model("auto", *thin_checkpoint), CPU)
    frame = Frame(np.zeros((48, 64, 3), np.uint8), "bgr")

    def fail(*_: Any) -> None:
        raise accelerator_error(ILLEGAL_ADDRESS)

    monkeypatch.setattr(engine, "_segment", fail)
    for act in (lambda: engine.segment(frame, engine.default_options), lambda: engine.warm_up((48, 64))):
        with pytest.raises(DeviceLost):
            act()
