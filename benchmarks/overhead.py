# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What a frame costs beyond the model: milliseconds and bytes of each step of the real node, on the CPU.

    scripts/run python benchmarks/overhead.py --out DIR

writes DIR/overhead.json, overhead.csv (every frame) and overhead.png, and prints the tables of
benchmarks/README.md, which says what is timed and what is not.
"""

import argparse
import csv
import json
import os
import platform
import sys
from dataclasses import asdict, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import torch
from common.chart import draw_chart
from common.measure import Cell, Costs, measure
from common.rows import hardware
from tables import markdown

from seg_node.models.load import EMBEDDED_WEIGHTS, load_model
from seg_node.preprocess.prepare import InputSpec
from seg_node.ros.common import memory

SIZES = ((480, 640), (720, 1280), (1080, 1920))
COUNTS = (0, 20, 100)
QUICK_HZ = 3.0  # for machines that do other things besides
RATE_HZ = 10.0  # low enough for the slowest cell to keep up, so that no frame waits for another one


def all_cells(specs: dict[str, InputSpec]) -> list[Cell]:
    """All variants of a size and count one after the other, so that a busier minute touches them alike."""
    cells = []
    for height, width in SIZES:
        for count in COUNTS:
            plain = Cell(height, width, count)
            cells += [plain, replace(plain, panoptic=True)]
            cells += [replace(plain, encoding=encoding) for encoding in ("bits", "rle")]
        cells += [Cell(height, width, 20, input=name) for name in specs if name != "torchvision"]
    return cells


def summary(cell: Cell, costs: Costs) -> dict[str, Any]:
    """The cell with p50 and p95 of every step's milliseconds, and the bytes."""
    percentiles = {
        step: np.percentile([row[step] for row in costs.milliseconds], (50, 95)).round(3).tolist()
        for step in costs.milliseconds[0]
    }
    load = round(os.getloadavg()[0], 1)
    frames = len(costs.milliseconds)
    return {**asdict(cell), "load": load, "frames": frames, "ms": percentiles, "bytes": costs.sizes}


def conditions(specs: dict[str, InputSpec], frames: int, warm_up: int, rate_hz: float) -> dict[str, Any]:
    """What one needs to know to compare the figures with others."""
    packages = ("torch", "torchvision", "numpy", "opencv-python")
    return {
        "date": date.today().isoformat(),
        "cpu": hardware("cpu"),
        "niceness": os.nice(0),
        "torch_threads": torch.get_num_threads(),
        "ros": f"{os.environ['ROS_DISTRO']}, {rclpy.get_rmw_implementation_identifier()}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "frames": frames,
        "warm_up": warm_up,
        "rate_hz": rate_hz,
        "inputs": {name: asdict(spec) for name, spec in specs.items()},
    }


def run(
    cells: list[Cell], specs: dict[str, InputSpec], frames: int, warm_up: int, rate_hz: float, out: Path
) -> dict[str, Any]:
    """Measure the cells one after the other; every frame goes to overhead.csv."""
    results = []
    with (out / "overhead.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        for number, cell in enumerate(cells):
            print(f"{number + 1}/{len(cells)} {cell}", file=sys.stderr)
            costs = measure(cell, specs[cell.input], frames, warm_up, rate_hz)
            if number == 0:
                writer.writerow([*asdict(cell), *costs.milliseconds[0]])
            for row in costs.milliseconds:
                writer.writerow([*asdict(cell).values(), *(round(ms, 4) for ms in row.values())])
            results.append(summary(cell, costs))
    return {"conditions": conditions(specs, frames, warm_up, rate_hz), "cells": results}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--frames", type=int, default=100, help="measured in each cell (100)")
    parser.add_argument("--warm-up", type=int, default=20, help="frames before them (20)")
    parser.add_argument("--quick", action="store_true", help="one small cell: does the benchmark still run?")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    frames, warm_up, rate_hz = arguments.frames, arguments.warm_up, RATE_HZ
    if arguments.quick:
        frames, warm_up, rate_hz = 8, 2, QUICK_HZ
    specs = {"torchvision": InputSpec()}
    if EMBEDDED_WEIGHTS.exists():
        specs["embedded"] = load_model("embedded").input_spec
    cells = [Cell(480, 640, 20, panoptic=True)] if arguments.quick else all_cells(specs)
    arguments.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))  # alone, whatever else runs here
    memory.keep_large_buffers()
    report = run(cells, specs, frames, warm_up, rate_hz, arguments.out)
    (arguments.out / "overhead.json").write_text(json.dumps(report, indent=1) + "\n")
    draw_chart(report, arguments.out / "overhead.png")
    print(markdown(report))


if __name__ == "__main__":
    main()
