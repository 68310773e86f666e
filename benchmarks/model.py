# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""How long is an image's way through a model: uint8 pixels in host memory → encoded masks in host memory?

    scripts/run python benchmarks/model.py --out DIR

measures each family, size, batch, device and precision, and torchvision's own model with the same weights in
the same minutes; writes DIR/model.json and model.png, prints the table. benchmarks/README.md says how.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path

from common.agreement import agreement
from common.cells import STAGES, Cell
from common.options import Options, Size, option_parser, read_options, size_name
from common.pictures import DEMO, pictures
from common.random_checkpoints import FAMILIES, write_checkpoint
from common.rows import (
    Row,
    conditions,
    environment,
    markdown,
    medians,
    number_of,
    percentiles,
    text_of,
    write_rows,
)
from common.systems import FAMILIES_OF, SYSTEMS
from common.threshold import NODE_THRESHOLD, typical_threshold
from common.workers import Worker

from seg_node.types import Frame, Instances

LEAST_ROUNDS, MOST_ROUNDS = 3, 200
COLUMNS = (
    *map(text_of, ("family", "size", "batch", "device", "system", "precision")),
    number_of("p50 ms", "p50_ms"),
    number_of("p95 ms", "p95_ms"),
    number_of("fps", "fps"),
    number_of("times torchvision", "speedup", ".2f"),
    *(number_of(stage, f"stages_ms.{stage}") for stage in STAGES),
    number_of("peak MB", "peak_memory_mb", ".0f"),
    number_of("objects", "objects"),
    number_of("matched", "agreement.matched", ".3f"),
    number_of("mean IoU", "agreement.mean_iou", ".3f"),
    number_of("score differs", "agreement.score_difference", ".1e"),
    number_of("mask AP", "mask_ap", ".3f"),
)


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds for each cell's systems together, and frames for mask AP."""

    seconds: float
    ap_frames: int


def measure(options: Options, effort: Effort, folder: Path) -> Iterator[Row]:
    """The rows, cell by cell; folder: for the checkpoints."""
    systems = [name for name in options.systems if _installed(name)]
    for family in options.families:
        weights, config = options.weights.get(family), options.configs.get(family)
        if weights is None:
            weights, config = write_checkpoint(family, folder)
        for size, batch, device in product(options.sizes, options.batches, options.devices):
            print(f"{family} {size_name(size)} batch {batch} {device}", file=sys.stderr)
            cells = [
                Cell(system, family, size, batch, device, precision, weights, config)
                for system in systems
                for precision in (options.precisions_for(device) if system == "seg_node" else ["fp32"])
                if system == "seg_node" or family in FAMILIES_OF[system]
            ]
            threshold = None if family != "embedded" and family not in options.weights else NODE_THRESHOLD
            if cells:
                yield from measure_cells(cells, threshold, effort)


def _installed(system: str) -> bool:
    if system == "detectron2" and find_spec(system) is None:
        print("no rows of detectron2: it is not installed", file=sys.stderr)
        return False
    return True


def measure_cells(cells: list[Cell], threshold: float | None, effort: Effort) -> list[Row]:
    """Rows of cells that differ by system and precision only, measured in turn.

    threshold: None for one that leaves a typical number of objects.
    """
    cell = cells[0]
    frames = pictures(cell.size, cell.batch)
    exact = Cell(
        "seg_node", cell.family, cell.size, cell.batch, cell.device, "exact", cell.weights, cell.config
    )
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(cell)) for cell in cells]
        reference = workers[cells.index(exact)] if exact in cells else stack.enter_context(Worker(exact))
        if threshold is None:
            threshold = typical_threshold(reference.ask("segment", frames, None)[1])
        true = reference.ask("segment", frames, threshold)[1]
        found: list[list[Instances]] = []
        for worker in workers:
            worker.ask("segment", frames, threshold)  # the first of a size is slower
            found.append(worker.ask("segment", frames, threshold)[1])
        timings = _take_turns(workers, frames, threshold, effort.seconds)
        rows = []
        for cell, worker, own, timed in zip(cells, workers, found, timings, strict=True):
            total = percentiles([timing.total_ms for timing in timed])
            row = {
                "system": cell.system,
                "family": cell.family,
                "size": size_name(cell.size),
                "batch": cell.batch,
                "device": cell.device,
                "precision": worker.ask("precision"),
                **total,
                "fps": round(cell.batch / total["p50_ms"] * 1e3, 3),
                "stages_ms": medians([timing.milliseconds for timing in timed]),
                "peak_memory_mb": round(worker.ask("peak_memory_mb"), 1),
                "runs": len(timed),
                "objects": sum(map(len, own)) / cell.batch,
                "score_threshold": threshold,
                "agreement": asdict(agreement(true, own)),
                "weights": str(cell.weights.name) if cell.weights else "embedded",
                **environment(cell.device),
            }
            rows.append(row)
        _add_average_precision(cells, workers, rows, effort.ap_frames)
    _add_speedups(rows)
    return rows


def _take_turns(workers: list[Worker], frames: list[Frame], threshold: float, seconds: float) -> list[list]:
    """The timings of each worker."""
    timings: list[list] = [[] for _ in workers]
    end = time.monotonic() + seconds
    for number in range(MOST_ROUNDS):
        if number >= LEAST_ROUNDS and time.monotonic() > end:
            break
        for worker, own in zip(workers, timings, strict=True):
            own.append(worker.ask("segment", frames, threshold)[0])
    return timings


def _add_average_precision(cells: list[Cell], workers: list[Worker], rows: list[Row], count: int) -> None:
    """mask_ap of the embedded model, whose weights mean something, on the demo's stream."""
    if cells[0].family != "embedded" or cells[0].weights is not None:
        return
    if find_spec("pycocotools") is None:
        print("no mask AP: it needs pycocotools", file=sys.stderr)
        return
    size: Size = (480, 640)
    frames = list(enumerate(pictures(size, 150)))[:: 150 // count]
    for cell, worker, row in zip(cells, workers, rows, strict=True):
        if cell.system == "seg_node":
            row["mask_ap"] = worker.ask("mask_ap", DEMO / "truth" / "annotations.json", frames)


def _add_speedups(rows: list[Row]) -> None:
    baseline = next((row["p50_ms"] for row in rows if row["system"] == "torchvision"), None)
    for row in rows:
        if baseline is not None:
            row["speedup"] = round(baseline / row["p50_ms"], 3)


def main() -> None:
    parser = option_parser(
        str(__doc__),
        "mask_rcnn,panoptic_fpn,yolact,solov2,embedded",
        "480p,720p,1080p",
        "1",
        ",".join(SYSTEMS),
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="for each cell, all its systems (20)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.families, arguments.sizes, arguments.precisions = ["thin"], ["160x120"], ["exact,fp32"]
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0")  # of the processes that wait
    effort = Effort(0.0, 2) if arguments.quick else Effort(arguments.seconds, 15)
    try:
        options = read_options(arguments, SYSTEMS, FAMILIES)
        options.out.mkdir(parents=True, exist_ok=True)
        rows: list[Row] = []
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(options, effort, Path(folder)):
                rows.append(row)
                write_rows(rows, options.out / "model.json")
        if not rows:
            raise ValueError(f"{', '.join(options.systems)} can run none of {', '.join(options.families)}")
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        sys.exit(f"model.py: {error}")
    from common.plot import plot_stages  # here: every worker imports this file

    plot_stages(rows, STAGES, options.out / "model.png")
    print(conditions(rows), "", markdown(rows, COLUMNS), sep="\n")


if __name__ == "__main__":
    main()
