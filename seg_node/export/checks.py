# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What an export refuses before a model, and torch itself, is loaded."""

from pathlib import Path

_SUFFIXES = (".pt2", ".onnx")


def check_file(out: Path) -> None:
    """Raise ValueError for a name without a known suffix, FileNotFoundError where its folder is missing."""
    if out.suffix not in _SUFFIXES:
        raise ValueError(f"{out}: the name must end in .pt2 (AOTInductor) or .onnx (ONNX Runtime, TensorRT)")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"{out}: there is no folder {out.parent}")


def check_precision(precision: str) -> None:
    """Raise ValueError for the precision that no compiled file can have."""
    if precision == "exact":
        raise ValueError("compiled code computes in an order of its own; choose fp32 instead of exact")
