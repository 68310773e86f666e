# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Plot losses and accuracy over the steps."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seg_node.training.csv_log import LOSSES_FILE, VALIDATION_FILE, read_rows


def plot_training(folder: Path) -> None:
    """Write training.png from the CSV files in the folder, if matplotlib is installed."""
    if find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure

    losses, validation = read_rows(folder / LOSSES_FILE), read_rows(folder / VALIDATION_FILE)
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in [key for key in (losses or [{}])[0] if key not in ("step", "seconds", "rate")]:
        left.plot(*_line(losses, name), label=name, linewidth=2 if name == "loss" else 1)
    left.set(title="losses", xlabel="step", yscale="log")
    for name in [key for key in (validation or [{}])[0] if key in ("mask_ap", "mask_ap50", "box_ap", "pq")]:
        right.plot(*_line(validation, name), label=name, marker="o")
    right.set(title="validation", xlabel="step", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1))  # beside the curves, not over them
    unfinished = folder / "training.tmp"
    figure.savefig(unfinished, format="png", dpi=110)
    unfinished.replace(folder / "training.png")


def _line(rows: list[dict[str, float | None]], name: str) -> tuple[list[Any], list[Any]]:
    points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    return [x for x, _ in points], [y for _, y in points]
