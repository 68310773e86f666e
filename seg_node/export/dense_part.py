# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Run a file of `seg_node export` in place of the part of the network that it was exported from."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_structure, tree_unflatten

from seg_node.export.info import (
    METADATA_KEY,
    ExportInfo,
    check_fits,
    describe_machine,
    exportable,
    outline,
    read_package_info,
)
from seg_node.inference.engine import Engine
from seg_node.models.files.load_error import loading
from seg_node.models.model import DenseModel, SegmentationModel
from seg_node.models.onnx.check import check_onnx, parse_onnx
from seg_node.models.onnx.runner import OnnxRunner

logger = logging.getLogger(__name__)

Run = Callable[[Tensor], tuple[Tensor, ...]]
Open = Callable[[], tuple[Run, str]]  # returns the function that runs a file, and its runtime's name

_LARGEST_ONNX = 2**31 - 1  # bytes; the limit of protobuf


class Exported:
    """A network's dense part, compiled for one size of its input; see `DenseModel`.

    info: the file's description.
    """

    def __init__(self, path: Path, info: ExportInfo, run: Run, record: Any) -> None:
        """Take the function that runs the file. record: the network's, whose form is given to its outputs."""
        self._path = path
        self.info = info
        self._run = run
        self._structure = tree_structure(record)

    def __call__(self, pixels: Tensor, panoptic: bool = True) -> Any:
        """Return the network's record, always with the maps for panoptic results.

        pixels: float32 (N, 3, H, W). Raises ValueError for another size than it was exported for.
        """
        if pixels.shape[-2:] != self.info.input_size:
            raise ValueError(
                f"{self._path}: exported for camera images of {_size(self.info.camera_size)} (network input "
                f"{_size(self.info.input_size)}), but this image, resized, makes an input of "
                f"{_size(pixels.shape[-2:])}; export a file for it: seg_node export --size WIDTHxHEIGHT "
                "(of the camera)"
            )
        images = [self._run(image) for image in pixels.split(1)]
        maps = [torch.cat(same) for same in zip(*images, strict=True)] if len(images) > 1 else images[0]
        return tree_unflatten(maps, self._structure)


def open_engine(
    model: SegmentationModel[Any, Any],
    device: torch.device,
    precision: str | None = None,
    exported: str | Path | None = None,
) -> Engine:
    """Open the model's engine, with an exported file where one is given.

    precision: see `choose_precision`; None: exact, or that of the file.
    Raises LoadError, and nothing else, whatever is wrong with the file, the precision or the device.
    """
    with loading(exported):
        if exported is None:
            return Engine(model, device, precision or "exact")
        dense = load_exported(exported, model, device, precision or "auto")
        return Engine(exportable(model).with_dense(dense), device, dense.info.precision)


def exported_size(engine: Engine) -> tuple[int, int] | None:
    """Return (height, width) of the only camera images that the engine takes; None when it takes all."""
    model = engine.model
    dense = model.dense if isinstance(model, DenseModel) else None
    return dense.info.camera_size if isinstance(dense, Exported) else None


def load_exported(
    path: str | Path, model: SegmentationModel[Any, Any], device: torch.device, precision: str = "auto"
) -> Exported:
    """Load the exported file, which runs by `model.with_dense(…)`; the rest of the network stays.

    model: as loaded, before an engine converts its weights. The engine must have the file's precision.
    An .onnx file is data; a .pt2 is machine code, which is executed: load only your own.

    precision: the one that the file must have; "auto": any.
    Raises LoadError for a file that is missing, of another model, precision or machine, or not what
    `seg_node export` writes, and when a library is missing.
    """
    path = Path(path).expanduser()
    with loading(path):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such exported file; make it with seg_node export --out {path} …"
            )
        dense_model = exportable(model)
        try:
            read = _read_onnx if path.suffix == ".onnx" else _read_package
            info, record, open_file = read(path, dense_model, device)
            if precision not in ("auto", info.precision):
                raise ValueError(f"exported in {info.precision}, but precision is {precision}")
        except ValueError as error:
            raise ValueError(f"{path}: {error}; export a file for this: seg_node export --help") from error
        run, by = open_file()
    logger.info(
        "%s: the network's dense part in %s, by %s, for camera images of %s",
        path,
        info.precision,
        by,
        _size(info.camera_size),
    )
    _log_times(path, info, device)
    return Exported(path, info, run, record)


def _log_times(path: Path, info: ExportInfo, device: torch.device) -> None:
    """Warn about a file that is slower than PyTorch, which is used all the same: the user chose it."""
    if info.timed_on != describe_machine(device):
        logger.info("%s: not timed on this machine; compare with the same without the file", path)
    elif info.is_slower:
        logger.warning(
            "%s: slower than PyTorch when it was exported (dense part: %.1f ms, PyTorch %.1f ms on this "
            "processor): leave the engine file out, or export again while nothing else runs",
            path,
            info.exported_ms,
            info.torch_ms,
        )


def _read_onnx(path: Path, model: DenseModel[Any, Any], device: torch.device) -> tuple[ExportInfo, Any, Open]:
    """Return the file's description, the network's outlined record, and a function that opens the file.

    Raises ValueError for another model's.
    """
    if path.stat().st_size > _LARGEST_ONNX:
        raise ValueError(f"larger than {_LARGEST_ONNX} bytes")
    data = path.read_bytes()
    content = parse_onnx(data)
    info = ExportInfo.from_json(_read_metadata(content))
    check_fits(info, model)
    record = outline(model.network, info.input_size)
    check_onnx(content, info.input_size, [tuple(output.shape) for output in tree_leaves(record)])

    def open_file() -> tuple[Run, str]:
        runner = OnnxRunner(path, data, device, info.precision)
        runner.try_out(info.input_size)
        return runner, f"ONNX Runtime ({runner.provider})"

    return info, record, open_file


def _read_metadata(content: Any) -> str:
    for entry in content.metadata_props:
        if entry.key == METADATA_KEY:
            text: str = entry.value
            return text
    raise ValueError("not written by seg_node export")


def _read_package(
    path: Path, model: DenseModel[Any, Any], device: torch.device
) -> tuple[ExportInfo, Any, Open]:
    """Read a package as `_read_onnx` does; nothing in it is executed yet."""
    info = read_package_info(path)
    check_fits(info, model)
    _check_machine(info, device)
    record = outline(model.network, info.input_size)

    return info, record, lambda: (open_package(path, device), "AOTInductor")


def open_package(path: Path, device: torch.device) -> Run:
    """Load an AOTInductor package, which executes its machine code."""
    from torch._inductor import aoti_load_package

    index = -1 if device.type == "cpu" else device.index or 0
    package = aoti_load_package(str(path), device_index=index)
    # compiled for this memory format; another one would give wrong results without an error
    return lambda pixels: tuple(package(pixels.contiguous(memory_format=torch.channels_last)))


def _check_machine(info: ExportInfo, device: torch.device) -> None:
    here = describe_machine(device)
    if info.machine != here:
        raise ValueError(f"compiled for {info.machine}, not for {here}")
    if info.torch != torch.__version__:
        raise ValueError(f"compiled with PyTorch {info.torch}, but this is {torch.__version__}")


def _size(size: tuple[int, ...]) -> str:
    height, width = size
    return f"{width}x{height}"
