# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node export`: compile the dense part of a network for one image size into a file.

The dense part is everything that depends only on the input's shape: backbone, pyramid, dense heads. A .pt2 is
an AOTInductor package, machine code for one kind of machine. An .onnx is for ONNX Runtime on any machine,
with TensorRT or CUDA where they are installed.
"""

import importlib.util
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seg_node.choices import PRECISIONS, Precision
from seg_node.export.checks import check_file, check_precision
from seg_node.export.dense_part import Run, open_package
from seg_node.export.info import (
    METADATA_KEY,
    Dense,
    ExportInfo,
    describe_machine,
    exportable,
    fingerprint,
    write_package_info,
)
from seg_node.export.open_model import ModelSource
from seg_node.inference.cuda_graph import CudaGraphs
from seg_node.inference.engine import choose_device
from seg_node.inference.fused_convolution import fuse_activations
from seg_node.inference.precision import (
    apply_precision,
    choose_precision,
    full_float32,
)
from seg_node.models.load import load_model
from seg_node.models.model import DenseModel
from seg_node.models.onnx.runner import OnnxRunner, has_cuda
from seg_node.types import Frame

_MIN_TORCH = (2, 6)
# the first opset with deformable convolutions (YOLACT++)
_ONNX_OPSET = 19


def export(
    out: Path,
    camera_size: tuple[int, int],
    source: ModelSource,
) -> int:
    """Write the file, compare it with PyTorch, note and print the figures; return the exit status, 0.

    out: ends in .pt2 or .onnx. camera_size: (height, width).
    source: the model; its labels and engine are not used.
    source.precision: "auto" or None is for a .pt2 the fastest that the device computes well in, for an .onnx
    fp32. source.device: which a .pt2 is compiled for; an .onnx runs on all, and is compared there. "auto": a
    GPU that PyTorch and, for an .onnx, ONNX Runtime can use, else the CPU.
    Raises ValueError, FileNotFoundError or RuntimeError for errors that the user can fix.
    """
    target = _check_target(out, source.device)
    chosen = _choose(source.precision or "auto", out, target)
    model = exportable(load_model(source.family, source.weights, source.config))
    network = model.network
    example = _example_input(model, camera_size)
    info = ExportInfo(
        network=type(network).__name__,
        source=Path(source.weights).name if source.weights else "embedded model",
        weights=fingerprint(network),
        camera_size=camera_size,
        input_size=(example.shape[-2], example.shape[-1]),
        precision=chosen,
        machine="" if out.suffix == ".onnx" else describe_machine(target),
    )
    write = _write_onnx if out.suffix == ".onnx" else _write_package
    info, error = write(network, example, out, info, target)
    print(_summary(out, info, target, error))
    return 0


def _check_target(out: Path, device: str) -> torch.device:
    """Return the device to compile for or to compare on, after checking what the export needs."""
    check_file(out)
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _MIN_TORCH:
        raise RuntimeError(f"export needs PyTorch 2.6 or newer; this is {torch.__version__}")
    target = choose_device(device)
    if out.suffix == ".pt2":
        return target
    if not importlib.util.find_spec("onnxscript"):
        raise RuntimeError("an .onnx file is written by onnxscript: pip install onnx onnxscript")
    if target.type == "cpu" or has_cuda():
        return target
    if device == "auto":
        return torch.device("cpu")
    raise RuntimeError(
        f"device {device}: this ONNX Runtime has no CUDA: pip install onnxruntime-gpu; "
        "or choose cpu, the file is for all devices"
    )


def _choose(precision: str, out: Path, device: torch.device) -> Precision:
    """Return the file's precision. Raises ValueError or RuntimeError for one that it cannot have."""
    check_precision(precision)
    if out.suffix == ".pt2" or precision not in PRECISIONS:
        return choose_precision(precision, device)
    if precision == "bf16":
        raise ValueError("ONNX Runtime does not compute in bf16; choose fp32, or fp16 for GPUs")
    return "fp16" if precision == "fp16" else "fp32"


def _example_input(model: DenseModel[Any, Any], camera_size: tuple[int, int]) -> Tensor:
    """Return a random network input for an image of that size: float32 (1, 3, H, W)."""
    noise = np.random.default_rng(0).integers(0, 256, (*camera_size, 3), np.uint8)
    pixels: Tensor = model.prepare([Frame(noise, "bgr")], torch.device("cpu")).pixels
    return pixels.float()


def _write_package(
    network: nn.Module, example: Tensor, out: Path, info: ExportInfo, device: torch.device
) -> tuple[ExportInfo, float]:
    """Write a .pt2 file.

    Returns its description with the times, and the largest relative difference of an output.
    """
    from torch._inductor import aoti_compile_and_package

    dense, pixels = _prepare(network, example, info, device)
    on_cpu = device.type == "cpu"
    # frozen weights are packed for oneDNN; the loading program sets the number of threads
    configs = {"freezing": True, "cpp.dynamic_threads": True} if on_cpu else {}
    try:
        with torch.no_grad():
            aoti_compile_and_package(
                torch.export.export(dense, (pixels,)), package_path=str(out), inductor_configs=configs
            )
    except Exception as error:
        if "compiler" not in str(error).lower():
            raise
        raise RuntimeError(f"a .pt2 file needs a C++ compiler (apt install g++): {error}") from error
    timed, difference = _compare(dense, pixels, open_package(out, device), info)
    write_package_info(out, timed)
    return timed, difference


def _write_onnx(
    network: nn.Module, example: Tensor, out: Path, info: ExportInfo, device: torch.device
) -> tuple[ExportInfo, float]:
    """Write an .onnx file; see `_write_package`. On the CPU, as the network is only traced."""
    dense, pixels = _prepare(network, example, info, torch.device("cpu"))
    with torch.no_grad():
        program = torch.onnx.export(
            dense, (pixels.contiguous(),), dynamo=True, opset_version=_ONNX_OPSET, verbose=False
        )
    assert program is not None
    program.save(str(out), external_data=False)
    runner = OnnxRunner(out, out.read_bytes(), device, info.precision)
    timed, difference = _compare(dense.to(device), pixels.to(device), runner, info)
    program.model.metadata_props[METADATA_KEY] = timed.to_json()
    program.save(str(out), external_data=False)
    return timed, difference


def _prepare(
    network: nn.Module, example: Tensor, info: ExportInfo, device: torch.device
) -> tuple[Dense, Tensor]:
    """Return the dense part in the file's precision, and its input, on the device."""
    network.to(device)
    apply_precision(network, info.precision)
    return Dense(network).eval(), example.to(device).contiguous(memory_format=torch.channels_last)


def _compare(dense: Dense, pixels: Tensor, exported: Run, info: ExportInfo) -> tuple[ExportInfo, float]:
    """Return the description with both times, and the largest relative difference of an output.

    PyTorch runs as in the engine: activations fused on a CPU, a recorded graph on a GPU, no TF32.
    """
    on_gpu = pixels.device.type == "cuda"
    if on_gpu or info.precision != "fp16":
        fuse_activations(dense.network)
    plain: Run = CudaGraphs(dense) if on_gpu else dense
    with torch.inference_mode(), full_float32():  # as the engine runs it
        torch_ms, expected = _time(plain, pixels)
        exported_ms, found = _time(exported, pixels)
    error = max(
        ((a.float() - b.float()).norm() / b.float().norm()).item()
        for a, b in zip(found, expected, strict=True)
    )
    machine = describe_machine(pixels.device)
    return replace(info, timed_on=machine, exported_ms=exported_ms, torch_ms=torch_ms), error


def _time(run: Run, pixels: Tensor) -> tuple[float, tuple[Tensor, ...]]:
    """Return the median milliseconds of five runs after the first, and the outputs."""
    times = []
    outputs = run(pixels)
    for _ in range(5):
        if pixels.device.type == "cuda":
            torch.cuda.synchronize(pixels.device)
        start = time.perf_counter()
        outputs = run(pixels)
        if pixels.device.type == "cuda":
            torch.cuda.synchronize(pixels.device)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times), outputs


def _summary(out: Path, info: ExportInfo, device: torch.device, error: float) -> str:
    """Describe the file in a line; a second one says where it is slower than PyTorch."""
    (height, width), (rows, columns) = info.camera_size, info.input_size
    line = (
        f"{out}: {info.source} for images of {width}x{height} (input {columns}x{rows}), {info.precision}: "
        f"{info.exported_ms:.1f} ms on {device}, PyTorch {info.torch_ms:.1f} ms; "
        f"outputs differ by {error:.1e} at most"
    )
    if not info.is_slower:
        return line
    return f"{line}\n{out}: slower than PyTorch here: leave it out, or export again while nothing else runs"
