# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Plots of the rows."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from common.rows import Row

COLOURS = ("#ccbb44", "#4477aa", "#228833", "#ee6677", "#66ccee", "#aa3377", "#bbbbbb", "#444444")


def plot_stages(rows: Sequence[Row], stages: Sequence[str], path: Path) -> None:
    """A bar a row, split into its stages; the tick is the 95th percentile of the whole."""
    figure, axes = plt.subplots(figsize=(10, 1.4 + 0.28 * len(rows)), layout="constrained")
    places = range(len(rows))
    left = [0.0] * len(rows)
    for stage, colour in zip(stages, COLOURS, strict=False):
        widths = [row["stages_ms"].get(stage, 0.0) for row in rows]
        axes.barh(places, widths, left=left, color=colour, label=stage)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.plot([row["p95_ms"] for row in rows], places, "k|", label="p95")
    keys = ("family", "size", "batch", "device", "system", "precision")
    axes.set_yticks(
        places, [" ".join(str(row[key]) for key in keys if key in row) for row in rows], fontsize=7
    )
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds (median)")
    figure.legend(ncols=9, fontsize=7, loc="outside upper center")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_soak(rows: Sequence[Row], path: Path) -> None:
    """How the node's resident set grew over the images that it served."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for row in rows:
        soak = row["soak"]
        first = soak["rss_mb"][0]
        label = f"{row['family']} {row['size']} {row['device']} {row['precision']}, {first:.0f} MB at first"
        axes.plot(soak["at_frame"], [rss - first for rss in soak["rss_mb"]], label=label)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -1), max(high, 10))  # a leak of 1 kB a frame fills the plot
    axes.set_xlabel("images")
    axes.set_ylabel("growth of the resident set, MB")
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_growth(rows: Sequence[Row], path: Path) -> None:
    """A panel an axis; a line for each system, family, device and precision."""
    places = {
        "instances": lambda row: row["objects"],
        "size": lambda row: np.prod([int(side) for side in row["size"].split("x")]) / 1e6,
        "cameras": lambda row: row["batch"],
    }
    titles = {"instances": "objects", "size": "megapixels", "cameras": "cameras"}
    figure, panels = plt.subplots(1, len(places), figsize=(13, 4.5), layout="constrained")
    for panel, (axis, place) in zip(panels, places.items(), strict=True):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            if row["axis"] == axis:
                name = " ".join(row[key] for key in ("system", "family", "device", "precision"))
                lines.setdefault(name, []).append((place(row), row["p50_ms"]))
        for name, line in lines.items():
            panel.plot(*zip(*sorted(line), strict=True), "o-", label=name)
        panel.set_xlabel(titles[axis])
        panel.set_ylabel("milliseconds (median)")
        panel.set_yscale("log")
    panels[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)
