# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The results for people and for programs."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from common.rows import hardware, markdown, text_of, versions

from gpu_check.report import Row
from seg_node.untrusted.printable import one_line

_LONGEST = 600  # characters of a cell


def write_json(rows: Sequence[Row], path: Path, seconds: float, mode: str) -> None:
    content = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "mode": mode,
        "seconds": round(seconds, 1),
        "gpus": gpus(),
        "processor": hardware("cpu"),
        "versions": all_versions(),
        "rows": [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def gpus() -> list[dict[str, str]]:
    """Name, driver and memory of each, as nvidia-smi gives them; none where it is missing."""
    fields = ("name", "driver_version", "memory.total")
    query = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    lines = [line.split(", ") for line in done.stdout.splitlines()]
    return [dict(zip(fields, line, strict=True)) for line in lines if len(line) == len(fields)]


def all_versions() -> dict[str, str]:
    """Of the packages, and of cuDNN where PyTorch has it."""
    import torch

    cudnn = torch.backends.cudnn.version()
    return {**versions(), **({"cudnn": str(cudnn)} if cudnn else {})}


def table(rows: Sequence[Row]) -> str:
    """Markdown, a line for each check."""
    columns = [text_of("part"), text_of("check"), text_of("outcome"), text_of("figures"), text_of("why")]
    return markdown([_texts(row) for row in rows], columns)


def _texts(row: Row) -> dict[str, str]:
    figures = ", ".join(f"{name} {_number(value)}" for name, value in row.figures.items())
    texts = {
        "part": row.part,
        "check": row.check,
        "outcome": row.outcome,
        "figures": figures,
        "why": row.reason,
    }
    return {name: one_line(text, _LONGEST).replace("|", "/") for name, text in texts.items()}


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
