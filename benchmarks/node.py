# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What does the node sustain, and how old are its results? In the terms of NVIDIA's ros2_benchmark, over DDS.

    scripts/run python benchmarks/node.py --out DIR

searches the highest rate of images of which fewer than 5 % get no result, then measures latency, age,
jitter, CPU and memory at 30 Hz, or at that rate where it is lower. Writes DIR/node.json and node.png, prints
the table.

    scripts/run python benchmarks/node.py --out DIR --soak 10000

serves so many images with one of the families and notes the node's memory meanwhile: DIR/soak.json, soak.png.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common.cells import Cell
from common.node_process import NodeProcess, running_node
from common.options import Options, option_parser, read_options, size_name
from common.pictures import pictures
from common.playback import STAGES, Play, play
from common.plot import plot_soak, plot_stages
from common.random_checkpoints import write_checkpoint
from common.rows import Row, conditions, environment, markdown, number_of, percentiles, text_of, write_rows
from common.systems import SegNodeSystem
from common.threshold import NODE_THRESHOLD, typical_threshold

from seg_node.inference.precision import choose_precision

CAMERA_HZ = 30.0
LEAST_HZ = 0.1
PICTURES = 8
COLUMNS = (
    *map(text_of, ("family", "size", "device", "precision")),
    number_of("peak fps", "peak_fps"),
    number_of("at Hz", "rate_hz"),
    number_of("drops %", "drops_percent"),
    number_of("latency p50 ms", "p50_ms"),
    number_of("p95 ms", "p95_ms"),
    number_of("age p50 ms", "age_p50_ms"),
    number_of("age p95 ms", "age_p95_ms"),
    number_of("jitter ms", "jitter_ms"),
    number_of("CPU %", "cpu_percent", ".0f"),
    number_of("RSS MB", "rss_mb", ".0f"),
    number_of("peak MB", "peak_memory_mb", ".0f"),
    number_of("GPU MB", "gpu_memory_mb", ".0f"),
    number_of("frames", "soak.frames", "d"),
    number_of("growth, MB in 1000 frames", "soak.growth_mb_per_1000", ".3f"),
)


@dataclass(frozen=True)
class Effort:
    """seconds: of each play. probes: of the search. soak: images to serve instead, 0 for the search."""

    seconds: float
    probes: int
    soak: int


def measure(options: Options, effort: Effort, folder: Path) -> Iterator[Row]:
    """A row a node; folder: for checkpoints, pictures and logs."""
    for family, size, device in product(options.families, options.sizes, options.devices):
        weights, config = options.weights.get(family), options.configs.get(family)
        if weights is None:
            weights, config = write_checkpoint(family, folder)
        shown = pictures(size, PICTURES)
        np.save(folder / "pictures.npy", np.stack([frame.pixels for frame in shown]))
        threshold = NODE_THRESHOLD
        if family != "embedded" and family not in options.weights:
            exact = SegNodeSystem(Cell("seg_node", family, size, 1, "cpu", "exact", weights, config))
            threshold = typical_threshold(exact.segment(shown[:1], None)[1])
        for name in options.precisions_for(device):
            precision = choose_precision(name, torch.device(device))
            print(f"{family} {size_name(size)} {device} {precision}", file=sys.stderr)
            parameters: dict[str, Any] = {
                "device": device,
                "precision": precision,
                "model.weights": str(weights or ""),
                "model.config": str(config or ""),
                "score_threshold": threshold,
            }
            with running_node(parameters, folder) as node:
                measured = _soak(node, folder, effort) if effort.soak else _search(node, folder, effort)
                row = {
                    "system": "seg_node",
                    "family": family,
                    "size": size_name(size),
                    "batch": 1,
                    "device": device,
                    "precision": precision,
                    **measured,
                    "rss_mb": round(node.memory_mb(), 1),
                    "peak_memory_mb": round(node.memory_mb(greatest=True), 1),
                }
                if device.startswith("cuda"):
                    row["gpu_memory_mb"] = node.gpu_memory_mb()
            yield {**row, **environment(device)}


def _search(node: NodeProcess, folder: Path, effort: Effort) -> Row:
    """The peak, and what is seen at a camera's rate, or at the peak's where that is lower.

    Raises RuntimeError when no rate is sustained.
    """
    first = _play(node, folder, CAMERA_HZ, effort.seconds)
    if first.sustained:
        low, high, best = CAMERA_HZ, CAMERA_HZ * 2, first
        # twice the rate, until results are missing or the camera cannot follow
        while best.sent_hz > 0.9 * low and (faster := _play(node, folder, high, effort.seconds)).sustained:
            low, high, best = high, high * 2, faster
    else:
        low, high, best = first.served_hz / 2, first.served_hz * 1.1, None
    for _ in range(effort.probes if best is None or best.sent_hz > 0.9 * low else 0):
        tried = _play(node, folder, (low + high) / 2, effort.seconds)
        if tried.sustained:
            low, best = (low + high) / 2, tried
        else:
            high = (low + high) / 2
    while best is None:
        if low < LEAST_HZ:
            raise RuntimeError(f"not even {2 * low:.1f} images a second are sustained; is the machine busy?")
        tried, low = _play(node, folder, low, effort.seconds), low / 2
        best = tried if tried.sustained else None
    return {"peak_fps": round(best.served_hz, 2), **_figures(first if first.sustained else best)}


def _soak(node: NodeProcess, folder: Path, effort: Effort) -> Row:
    """At 80 % of what the node serves at most."""
    count, probe = effort.soak, _play(node, folder, CAMERA_HZ * 4, effort.seconds)
    rate_hz = 0.8 * probe.served_hz
    samples: list[float] = []
    print(f"{count} images at {rate_hz:.1f} Hz: {count / rate_hz / 60:.1f} minutes", file=sys.stderr)
    played = play(
        node, folder / "pictures.npy", rate_hz, count / rate_hz, lambda: samples.append(node.memory_mb())
    )
    frames = np.linspace(0, count, len(samples))
    settled = len(samples) // 4  # the first quarter fills caches
    slope, _ = np.polyfit(frames[settled:], samples[settled:], 1)
    kept = slice(None, None, max(1, len(samples) // 200))
    soak = {
        "frames": len(played.latency_ms),
        "rss_mb": [round(sample, 2) for sample in samples[kept]],
        "at_frame": frames[kept].round().tolist(),
        "growth_mb_per_1000": round(float(slope) * 1000, 4),
    }
    return {**_figures(played), "soak": soak}


def _play(node: NodeProcess, folder: Path, rate_hz: float, seconds: float) -> Play:
    played = play(node, folder / "pictures.npy", rate_hz, seconds, lambda: None)
    print(
        f"  {rate_hz:.1f} Hz: sent {played.sent_hz:.1f}, served {played.served_hz:.1f} a second",
        file=sys.stderr,
    )
    return played


def _figures(played: Play) -> Row:
    age = percentiles(played.age_ms)
    return {
        **percentiles(played.latency_ms),
        "age_p50_ms": age["p50_ms"],
        "age_p95_ms": age["p95_ms"],
        "jitter_ms": round(played.jitter_ms, 3),
        "rate_hz": round(played.sent_hz, 2),
        "fps": round(played.served_hz, 2),
        "drops_percent": round(100 * played.drops, 2),
        "cpu_percent": round(100 * played.cpu_s * played.served_hz, 1),
        "stages_ms": played.stages_ms,
        "runs": len(played.latency_ms),
    }


def read_arguments() -> argparse.Namespace:
    parser = option_parser(str(__doc__), "embedded", "480p", "1", "seg_node")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each play (10)")
    parser.add_argument("--probes", type=int, default=5, help="of the search for the peak (5)")
    parser.add_argument("--soak", type=int, default=0, help="images to serve instead")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.families, arguments.sizes, arguments.precisions = ["thin"], ["160x120"], ["exact"]
        arguments.seconds, arguments.probes = 4.0, 1
    return arguments


def main() -> None:
    arguments = read_arguments()
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))  # alone, whatever else runs here
    effort = Effort(arguments.seconds, arguments.probes, arguments.soak)
    name = "soak" if arguments.soak else "node"
    try:
        options = read_options(arguments, ("seg_node",))
        if options.batches != (1,):
            raise ValueError("the node is measured with one camera: --batches 1 (several: see growth.py)")
        options.out.mkdir(parents=True, exist_ok=True)
        rows: list[Row] = []
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(options, effort, Path(folder)):
                rows.append(row)
                write_rows(rows, options.out / f"{name}.json")
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        sys.exit(f"node.py: {error}")
    if arguments.soak:
        plot_soak(rows, options.out / "soak.png")
    else:
        plot_stages(rows, STAGES, options.out / "node.png")
    print(conditions(rows), "", markdown(rows, COLUMNS), sep="\n")


if __name__ == "__main__":
    main()
