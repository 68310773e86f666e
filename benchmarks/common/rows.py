# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of results: what surrounds the figures, the JSON file and the Markdown table."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seg_node import __version__
from seg_node.inference.processor import cpu_name

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str]]  # title, text of a row

_PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "detectron2", "ultralytics")


def environment(device: str) -> Row:
    """What one needs to know to compare a row's figures with others."""
    return {
        "date": date.today().isoformat(),
        "hardware": hardware(device),
        "torch_threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "versions": versions(),
    }


def hardware(device: str) -> str:
    """The processor's name, for cuda that of the GPU."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    return f"{os.cpu_count()} x {cpu_name()}"


def versions() -> dict[str, str]:
    """Of Python, seg_node and those packages that are installed."""
    found = {"seg_node": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """p50_ms, p95_ms"""
    p50, p95 = np.percentile(milliseconds, (50, 95)).round(3).tolist()
    return {"p50_ms": p50, "p95_ms": p95}


def medians(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each step."""
    return {name: round(float(np.median([step[name] for step in steps])), 3) for name in steps[0]}


def write_rows(rows: Sequence[Row], path: Path) -> None:
    path.write_text(json.dumps(rows, indent=1) + "\n")


def markdown(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """A table; columns in which no row says anything are left out."""
    texts = [[text(row) for row in rows] for _, text in columns]
    kept = [(title, column) for (title, _), column in zip(columns, texts, strict=True) if any(column)]
    lines = ["| " + " | ".join(title for title, _ in kept) + " |"]
    lines.append("|" + " --- |" * len(kept))
    lines += ["| " + " | ".join(column[i] for _, column in kept) + " |" for i in range(len(rows))]
    return "\n".join(lines)


def text_of(key: str) -> Column:
    """A column of text under the key's own name."""
    return key, lambda row: str(row.get(key, ""))


def number_of(title: str, key: str, form: str = ".1f") -> Column:
    """key: "stages_ms.infer" looks inside."""

    def text(row: Row) -> str:
        value: Any = row
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return "" if value is None else format(value, form)

    return title, text


def conditions(rows: Sequence[Row]) -> str:
    """A line for above the table: date, hardware, versions."""
    first = rows[0]
    machines = " and ".join(dict.fromkeys(row["hardware"] for row in rows))
    packages = ", ".join(f"{name} {number}" for name, number in first["versions"].items())
    loads = [row["load"] for row in rows]
    return (
        f"{first['date']}; {machines}; {first['torch_threads']} torch threads, load average {min(loads)} to "
        f"{max(loads)}; {packages}."
    )
