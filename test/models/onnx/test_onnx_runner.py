# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on a GPU: the providers requested, and the precision they compute in."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seg_node.models.onnx import runner as onnx_runner
from seg_node.models.onnx.runner import OnnxRunner

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
GPU = torch.device("cuda", 1)


class Runtime:
    """An ONNX Runtime built for these providers, which records how a session is opened."""

    __version__ = "1.32.0"

    def __init__(self, *providers: str) -> None:
        self._providers = [*providers, "CPUExecutionProvider"]
        self.opened: dict[str, dict[str, Any]] = {}

    def get_available_providers(self) -> list[str]:
        return self._providers

    def SessionOptions(self) -> Any:
        return SimpleNamespace(add_session_config_entry=lambda *_: None)

    def InferenceSession(self, data: bytes, options: Any, providers: list[Any]) -> Any:
        self.opened = {entry[0]: entry[1] for entry in providers if isinstance(entry, tuple)}
        names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
        return SimpleNamespace(get_providers=lambda: names)


@pytest.fixture(autouse=True)
def gpu_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEG_NODE_CACHE", str(tmp_path))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")


def open_with(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, data: bytes = b"weights", precision: str = "fp32"
) -> dict[str, dict[str, Any]]:
    """Return the options of each provider for a file of that content."""
    monkeypatch.setattr(onnx_runner, "_onnxruntime", lambda: runtime)
    OnnxRunner(Path("x.onnx"), data, GPU, precision)
    return runtime.opened


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_cuda_does_not_compute_in_tf32(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = open_with(Runtime(CUDA), monkeypatch, precision=precision)
    assert options == {CUDA: {"device_id": 1, "use_tf32": "0"}}


def test_tensorrt_does_not_compute_in_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    options = open_with(Runtime(TENSORRT, CUDA), monkeypatch)
    assert list(options) == [TENSORRT, CUDA]
    assert onnx_runner.os.environ["NVIDIA_TF32_OVERRIDE"] == "0"  # TensorRT's only switch
    assert options[TENSORRT]["trt_fp16_enable"] is False and options[CUDA]["use_tf32"] == "0"


def test_retrained_weights_never_meet_an_older_tensorrt_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime's own key, the graph's name and shapes, is the same for all weights of a network."""

    def folder(data: bytes, version: str = "1.32.0") -> str:
        runtime = Runtime(TENSORRT)
        runtime.__version__ = version
        path: str = open_with(runtime, monkeypatch, data)[TENSORRT]["trt_engine_cache_path"]
        assert Path(path).is_dir()
        return path

    assert folder(b"weights") == folder(b"weights")
    assert len({folder(b"weights"), folder(b"retrained"), folder(b"weights", "1.33.0")}) == 3
    before = folder(b"weights")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "another GPU")
    assert folder(b"weights") != before


def test_an_onnx_runtime_without_cuda_is_refused_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RuntimeError, match=r"has no CUDA .*: pip install onnxruntime-gpu, or choose device cpu"
    ):
        open_with(Runtime(), monkeypatch)
