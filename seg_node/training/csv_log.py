# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""CSV logs of a training: losses every few steps, and accuracy of each validation."""

import csv
from collections.abc import Mapping
from pathlib import Path

LOSSES_FILE, VALIDATION_FILE = "losses.csv", "validation.csv"


def append_row(path: Path, row: Mapping[str, float | None]) -> None:
    """Append a row; a new file begins with a header."""
    is_new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow({key: "" if value is None else f"{value:.6g}" for key, value in row.items()})


def read_rows(path: Path) -> list[dict[str, float | None]]:
    """Return all rows, oldest first; none when there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(file)]


def forget_after(path: Path, step: int) -> None:
    """Remove rows of later steps, which were lost and are repeated."""
    rows = [row for row in read_rows(path) if (row["step"] or 0) <= step]
    path.unlink(missing_ok=True)
    for row in rows:
        append_row(path, row)
