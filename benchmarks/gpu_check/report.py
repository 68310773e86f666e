# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of results, written one by one, so that a part that hangs or dies leaves those it had."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

Outcome = Literal["ok", "measured", "failed", "left out"]


class LeftOut(Exception):
    """A part that cannot run here; its message says why."""


@dataclass(frozen=True)
class Row:
    """One check. outcome: measured has no right value. reason: why it failed or was left out."""

    part: str
    check: str
    outcome: Outcome
    reason: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


class Report:
    """Writes a part's rows to a file of JSON lines."""

    def __init__(self, part: str, file: Path) -> None:
        self._part = part
        self._file = file

    def measured(self, check: str, **figures: Any) -> None:
        self._add(Row(self._part, check, "measured", "", figures))

    def left_out(self, check: str, reason: str) -> None:
        self._add(Row(self._part, check, "left out", reason))

    def judge(self, check: str, problems: list[str], **figures: Any) -> None:
        """ok without problems, failed with any."""
        outcome: Outcome = "failed" if problems else "ok"
        self._add(Row(self._part, check, outcome, "; ".join(problems), figures))

    def _add(self, row: Row) -> None:
        with self._file.open("a") as file:
            figures = {name: _valid(value) for name, value in row.figures.items()}
            file.write(json.dumps({**asdict(row), "figures": figures}, allow_nan=False) + "\n")


def _valid(value: Any) -> Any:
    """JSON has no NaN and no infinity; they become texts."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def read_rows(file: Path) -> list[Row]:
    """The rows written so far; a line that was cut off is left out."""
    rows = []
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            row = Row(**json.loads(line))
        except (ValueError, TypeError):
            continue
        assert row.outcome in get_args(Outcome)
        rows.append(row)
    return rows
