"""What `seg_node export` does: the dense part of a network, for one size of image, into a file.

The dense part is all that depends on nothing but the input's shape: backbone, pyramid, dense heads. A .pt2 is
an AOTInductor package, machine code for one kind of machine. An .onnx is for ONNX Runtime on any machine,
with TensorRT or CUDA where they are.
"""

import copy
import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seg_node.engine import choose_device
from seg_node.export_info import (
    METADATA_KEY,
    Dense,
    ExportInfo,
    describe_machine,
    fingerprint,
    network_of,
    write_package_info,
)
from seg_node.exported import load_exported
from seg_node.fused_convolution import fuse_activations
from seg_node.models.load import load_model
from seg_node.models.model import SegmentationModel
from seg_node.precision import PRECISIONS, Precision, apply_precision, choose_precision, full_float32
from seg_node.types import Frame

_SUFFIXES = (".pt2", ".onnx")
_MIN_TORCH = (2, 6)
# the first with deformable convolutions (YOLACT++)
_ONNX_OPSET = 19


def export(
    out: Path,
    camera_size: tuple[int, int],
    *,
    family: str = "auto",
    weights: str | Path | None = None,
    config: str | Path | None = None,
    precision: str = "auto",
    device: str = "auto",
) -> int:
    """Writes the file and prints how it compares with PyTorch on this machine; returns the exit status, 0.

    out: ends in .pt2 or .onnx. camera_size: (height, width).
    precision: "auto" is for a .pt2 the fastest that the device computes well in, for an .onnx fp32.
    device: which a .pt2 is for; an .onnx is for all.
    Raises ValueError, FileNotFoundError or RuntimeError for what the user can mend.
    """
    target = _check_target(out, device)
    chosen = _choose(precision, out, target)
    model = load_model(family, weights, config)
    network = network_of(model)
    example = _example_input(model, camera_size)
    info = ExportInfo(
        network=type(network).__name__,
        source=Path(weights).name if weights else "embedded model",
        weights=fingerprint(network),
        camera_size=camera_size,
        input_size=(example.shape[-2], example.shape[-1]),
        precision=chosen,
        machine="" if out.suffix == ".onnx" else describe_machine(target),
    )
    fresh = copy.deepcopy(model)
    network.to(target)
    apply_precision(network, chosen)
    dense = Dense(network).eval()
    pixels = example.to(target).contiguous(memory_format=torch.channels_last)
    write = _write_onnx if out.suffix == ".onnx" else _write_package
    with torch.no_grad():
        write(dense, pixels, out, info)
    if target.type == "cpu" and chosen != "fp16":
        fuse_activations(network)  # as the engine does, for a fair comparison
    print(_compare(dense, pixels, out, info, fresh, target))
    return 0


def _check_target(out: Path, device: str) -> torch.device:
    """The device to compile for, when everything is there that the export needs."""
    if out.suffix not in _SUFFIXES:
        raise ValueError(f"{out}: the name must end in .pt2 (AOTInductor) or .onnx (ONNX Runtime, TensorRT)")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"{out}: there is no folder {out.parent}")
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _MIN_TORCH:
        raise RuntimeError(f"export needs PyTorch 2.6 or newer; this is {torch.__version__}")
    if out.suffix == ".pt2":
        return choose_device(device)
    if not importlib.util.find_spec("onnxscript"):
        raise RuntimeError("an .onnx file is written by onnxscript: pip install seg_node[onnx]")
    return torch.device("cpu")  # only followed, not run


def _choose(precision: str, out: Path, device: torch.device) -> Precision:
    """Raises ValueError or RuntimeError for a precision that the file cannot be in."""
    if precision == "exact":
        raise ValueError("compiled code computes in an order of its own; choose fp32 instead of exact")
    if out.suffix == ".pt2" or precision not in PRECISIONS:
        return choose_precision(precision, device)
    if precision == "bf16":
        raise ValueError("ONNX Runtime does not compute in bf16; choose fp32, or fp16 for GPUs")
    return "fp16" if precision == "fp16" else "fp32"


def _example_input(model: SegmentationModel[Any, Any], camera_size: tuple[int, int]) -> Tensor:
    """The network's input for an image of that size, random: float32 (1, 3, H, W)."""
    noise = np.random.default_rng(0).integers(0, 256, (*camera_size, 3), np.uint8)
    pixels: Tensor = model.prepare([Frame(noise, "bgr")], torch.device("cpu")).pixels
    return pixels.float()


def _write_package(dense: nn.Module, pixels: Tensor, out: Path, info: ExportInfo) -> None:
    from torch._inductor import aoti_compile_and_package

    on_cpu = pixels.device.type == "cpu"
    # frozen weights are packed for oneDNN; the number of threads is the program's that loads it
    configs = {"freezing": True, "cpp.dynamic_threads": True} if on_cpu else {}
    try:
        aoti_compile_and_package(
            torch.export.export(dense, (pixels,)), package_path=str(out), inductor_configs=configs
        )
    except Exception as error:
        if "compiler" not in str(error).lower():
            raise
        raise RuntimeError(f"a .pt2 file needs a C++ compiler (apt install g++): {error}") from error
    write_package_info(out, info)


def _write_onnx(dense: nn.Module, pixels: Tensor, out: Path, info: ExportInfo) -> None:
    program = torch.onnx.export(
        dense, (pixels.contiguous(),), dynamo=True, opset_version=_ONNX_OPSET, verbose=False
    )
    assert program is not None
    program.model.metadata_props[METADATA_KEY] = info.to_json()
    program.save(str(out), external_data=False)


def _compare(
    dense: nn.Module,
    pixels: Tensor,
    out: Path,
    info: ExportInfo,
    model: SegmentationModel[Any, Any],
    device: torch.device,
) -> str:
    """A line with the times of both and the largest relative difference of an output."""
    load_exported(out, model, device)
    exported = network_of(model).dense
    with torch.inference_mode(), full_float32():  # as the engine runs it
        plain_ms, expected = _time(dense, pixels)
        exported_ms, found = _time(exported, pixels)  # type: ignore[arg-type]
    error = max(
        ((a.float() - b.float()).norm() / b.float().norm()).item()
        for a, b in zip(found, expected, strict=True)
    )
    (height, width), (rows, columns) = info.camera_size, info.input_size
    return (
        f"{out}: {info.source} for images of {width}x{height} (input {columns}x{rows}), {info.precision}: "
        f"{exported_ms:.1f} ms on {device}, PyTorch {plain_ms:.1f} ms; outputs differ by {error:.1e} at most"
    )


def _time(run: Callable[[Tensor], tuple[Tensor, ...]], pixels: Tensor) -> tuple[float, tuple[Tensor, ...]]:
    """Median milliseconds of a few runs after the first, and the outputs."""
    times = []
    outputs = run(pixels)
    for _ in range(5):
        start = time.perf_counter()
        outputs = run(pixels)
        if pixels.device.type == "cuda":
            torch.cuda.synchronize(pixels.device)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times), outputs
