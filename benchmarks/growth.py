# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""How does an image's cost grow with its objects, with its size, and with the number of cameras?

    scripts/run python benchmarks/growth.py --out DIR

writes DIR/growth.json and growth.png and prints the table. `fixed` is the product's own Mask R-CNN around a
network that answers at once with so many objects: what is left grows with them. torchvision's share of the
same work, pasting masks into the image, stands beside it. --batches are cameras: frames that arrive together.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common.cells import STAGES, encode_all, now_ms, torchvision_crops
from common.fixed_model import FixedNetwork, fixed_model
from common.options import Options, Size, option_parser, read_options, size_name
from common.pictures import pictures
from common.plot import plot_growth
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
from common.systems import peak_memory_mb, reset_peak_memory
from torchvision.models.detection.roi_heads import paste_masks_in_image

from seg_node.inference.engine import Engine, choose_device
from seg_node.models.load import load_model
from seg_node.preprocess.prepare import InputSpec
from seg_node.types import Frame, SegmentOptions

OBJECTS = (0, 5, 10, 20, 50, 100, 200)
TYPICAL = 20
BASE: Size = (720, 1280)  # where the size does not grow
LEAST_RUNS, MOST_RUNS = 3, 100
SYSTEMS = ("seg_node", "torchvision")
COLUMNS = (
    *map(text_of, ("axis", "system", "family", "device", "precision", "size", "objects", "batch")),
    number_of("p50 ms", "p50_ms", ".2f"),
    number_of("p95 ms", "p95_ms", ".2f"),
    *(number_of(stage, f"stages_ms.{stage}", ".2f") for stage in STAGES),
    number_of("peak MB", "peak_memory_mb", ".0f"),
)


@dataclass(frozen=True)
class Point:
    """A place on one of the axes: instances, size or cameras."""

    axis: str
    size: Size
    objects: int
    cameras: int


def points(options: Options) -> list[Point]:
    base = BASE if BASE in options.sizes else options.sizes[0]
    return [
        *(Point("instances", base, count, 1) for count in ([0, 20] if options.quick else OBJECTS)),
        *(Point("size", size, TYPICAL, 1) for size in options.sizes),
        *(Point("cameras", base, TYPICAL, cameras) for cameras in options.batches),
    ]


def measure(options: Options, seconds: float, folder: Path) -> Iterator[Row]:
    """seconds: for each point. folder: for the checkpoints."""
    for family in options.families:
        for device in options.devices:
            precisions = ("exact",) if family == "fixed" else options.precisions_for(device)
            if "seg_node" in options.systems:
                for precision in precisions:
                    yield from _measure_own(options, family, device, precision, seconds, folder)
            if "torchvision" in options.systems and family == "fixed":
                for point in points(options):
                    if point.axis != "cameras":
                        yield _row(
                            point, "torchvision", family, device, "fp32", _paste(point, device, seconds)
                        )


Runs = list[tuple[float, dict[str, float]]]  # total and each stage, milliseconds


def _measure_own(
    options: Options, family: str, device: str, precision: str, seconds: float, folder: Path
) -> Iterator[Row]:
    engine = None
    if family != "fixed":
        weights, config = options.weights.get(family), options.configs.get(family)
        if weights is None:
            weights, config = write_checkpoint(family, folder)
        engine = Engine(load_model(weights=weights, config=config), choose_device(device), precision)
    for point in points(options):
        print(f"{family} {device} {precision} {point}", file=sys.stderr)
        frames = pictures(point.size, point.cameras)
        if engine is None:
            model = fixed_model(point.objects, InputSpec())
            own, chosen = Engine(model, choose_device(device), precision), model.default_options
        else:
            own, found = engine, options_for(engine, frames[0], point.objects)
            if found is None:
                print(f"left out: fewer than {point.objects} objects are found", file=sys.stderr)
                continue
            chosen = found
        chosen = replace(chosen, panoptic=bool(own.labels.stuff))
        runs = _repeat(lambda: _segment(own, frames, chosen), device, seconds)  # noqa: B023
        yield _row(point, "seg_node", family, device, own.precision, runs)


def options_for(engine: Engine, frame: Frame, count: int) -> SegmentOptions | None:
    """The score threshold at which the network finds so many objects; None when it finds fewer."""
    options = replace(engine.default_options, max_instances=max(OBJECTS))
    if count == 0:
        return replace(options, score_threshold=1.0)
    scores = engine.segment(frame, options).instances.scores
    if len(scores) < count:
        return None
    below = scores[count] if len(scores) > count else options.score_threshold
    return replace(options, score_threshold=float(scores[count - 1] + below) / 2)


def _segment(
    engine: Engine, frames: Sequence[Frame], options: SegmentOptions
) -> tuple[float, dict[str, float]]:
    """One round of the cameras as the node does it: together on a GPU, else one after the other."""
    groups = [list(frames)] if engine.on_gpu else [[frame] for frame in frames]
    stages = dict.fromkeys(STAGES, 0.0)
    start = now_ms()
    for group in groups:
        found = engine.segment_batch(group, options)
        began = now_ms()
        encode_all([segmentation.instances.masks for segmentation in found], group)
        stages["encode"] += now_ms() - began
        stages["prepare"] += found[0].stage_ms["prepare"]
        stages["infer"] += found[0].stage_ms["infer"]
        stages["assemble"] += sum(segmentation.stage_ms["assemble"] for segmentation in found)
    return now_ms() - start, stages


def _paste(point: Point, device: str, seconds: float) -> Runs:
    """torchvision's way from mask probabilities to bytes of masks."""
    network = FixedNetwork(point.objects).to(device)
    height, width = point.size
    boxes = network.boxes * network.boxes.new_tensor([width, height, width, height])
    frame = pictures(point.size, 1)[0]

    def run() -> tuple[float, dict[str, float]]:
        start = now_ms()
        canvas = paste_masks_in_image(network.mask_probs[:, None], boxes, point.size)
        crops = torchvision_crops(canvas, boxes.cpu().numpy())
        pasted = now_ms()
        encode_all([crops], [frame])
        done = now_ms()
        return done - start, {"assemble": pasted - start, "encode": done - pasted}

    return _repeat(run, device, seconds)


def _repeat(run: Callable[[], tuple[float, dict[str, float]]], device: str, seconds: float) -> Runs:
    run()
    reset_peak_memory(device)
    runs: Runs = []
    start = now_ms()
    while len(runs) < LEAST_RUNS or (now_ms() - start < 1e3 * seconds and len(runs) < MOST_RUNS):
        runs.append(run())
    return runs


def _row(point: Point, system: str, family: str, device: str, precision: str, runs: Runs) -> Row:
    return {
        "axis": point.axis,
        "system": system,
        "family": family,
        "size": size_name(point.size),
        "objects": point.objects,
        "batch": point.cameras,
        "device": device,
        "precision": precision,
        **percentiles([total for total, _ in runs]),
        "stages_ms": medians([stages for _, stages in runs]),
        "peak_memory_mb": round(peak_memory_mb(device), 1),
        "runs": len(runs),
        **environment(device),
    }


def main() -> None:
    parser = option_parser(
        str(__doc__), "fixed,embedded", "320x240,480p,720p,1080p", "1,2,4,8", ",".join(SYSTEMS)
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="for each point (2)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.families, arguments.sizes, arguments.batches = ["fixed,thin"], ["160x120"], ["1,2"]
        arguments.precisions, arguments.seconds = ["exact"], 0.0
    try:
        options = read_options(arguments, SYSTEMS, ("fixed", *FAMILIES))
        options.out.mkdir(parents=True, exist_ok=True)
        rows: list[Row] = []
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(options, arguments.seconds, Path(folder)):
                rows.append(row)
                write_rows(rows, options.out / "growth.json")
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        sys.exit(f"growth.py: {error}")
    plot_growth(rows, options.out / "growth.png")
    print(conditions(rows), "", markdown(rows, COLUMNS), sep="\n")


if __name__ == "__main__":
    main()
