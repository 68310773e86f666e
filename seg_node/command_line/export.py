# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of `seg_node export`."""

import argparse
import re
from pathlib import Path

from seg_node.arguments import one_of
from seg_node.choices import PRECISIONS
from seg_node.command_line.model_options import add_model, model_source
from seg_node.export.checks import check_file, check_precision

_HELP = """\
Compiles the part of a model that takes most of the time (backbone, pyramid, dense heads) for one size of
camera image. The node's parameter engine and --engine of other commands then run FILE in its place.

  FILE.pt2   machine code (AOTInductor) for this kind of processor, device and version of PyTorch, in fp32,
             bf16 or fp16: the fastest on a CPU. Loading executes it: load only files you made.
  FILE.onnx  for ONNX Runtime on any machine, with TensorRT or CUDA where available; in fp32, or in fp16
             for GPUs. Needs onnx and onnxscript.

Each file fits one model and one image size (or others that are resized to the same network input); anything
else is refused. The comparison with PyTorch on the device is printed and noted in the file. More in
docs/export.md."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    export = commands.add_parser(
        "export",
        help="compile a model for one image size",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = export.add_argument
    add("--out", required=True, type=_export_file, metavar="FILE", help="file to write, .pt2 or .onnx")
    add(
        "--size",
        required=True,
        type=_read_size,
        metavar="WIDTHxHEIGHT",
        help="size of the camera's images, such as 640x480",
    )
    add_model(export)
    add(
        "--precision",
        type=_precision,
        default="auto",
        metavar="P",
        help="fp32, bf16, fp16 or auto: the fastest for a .pt2, fp32 for an .onnx (default: auto)",
    )
    export.set_defaults(run=_run)


def _export_file(text: str) -> Path:
    try:
        check_file(Path(text))
    except (ValueError, FileNotFoundError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def _precision(text: str) -> str:
    try:
        check_precision(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return one_of(PRECISIONS, "precision")(text)


def _read_size(text: str) -> tuple[int, int]:
    """Parse "640x480" as (480, 640)."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT in pixels, such as 640x480")
    return int(match[2]), int(match[1])


def _run(options: argparse.Namespace) -> int:
    from seg_node.export.command import export

    return export(options.out, options.size, model_source(options))
