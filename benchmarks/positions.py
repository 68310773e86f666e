# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""How well are objects placed? Lifts the demo's stream and compares with where its objects really are.

    scripts/run python benchmarks/positions.py [--masks model] [--noise 0.002] [--pictures DIR]

prints the table of benchmarks/README.md, which says what its columns mean. Masks are the true ones, so that
depth is measured and not the network; with `--masks model` those of the embedded model (or of --weights).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
from common.positions_scenes import Scene, Thing, draw, read_scenes
from numpy.typing import NDArray

from seg_node.masks.overlap import intersection_areas, mask_areas, mask_ious
from seg_node.predictor import Predictor
from seg_node.spatial.lift import LiftOptions, Object3D, lift_instances
from seg_node.types import Instances

DEMO = Path(__file__).resolve().parents[1] / "demo/tabletop"
FloatArray = NDArray[np.float64]
# Turned about their upright axis they look the same: only that axis can be right or wrong.
ROUND = {"white_bowl", "bottle", "can", "plate", "burger", "apple", "cup"}
LEAST_IOU = 0.5
COLUMNS = ["object", "found", "centroid off ray mm", "centre mm", "p95", "unseen mm", "own mm", "own p95"]
COLUMNS += ["size %", "own %", "axes °", "p95"]


@dataclass(frozen=True)
class Error:
    """One object in one frame; millimetres, per cent, degrees."""

    kind: str
    centroid_sideways: float
    centre: float
    unseen: float
    own: float
    size: float
    own_size: float
    axes: float


def compare(found: Object3D, thing: Thing, seen: FloatArray) -> Error:
    """seen: (N, 3), what the camera sees of the thing without any error: the points of its true mask."""
    away = found.centroid - thing.centre
    ray = thing.centre / np.linalg.norm(thing.centre)
    own = seen @ thing.axes
    low, high = own.min(0), own.max(0)
    visible = thing.axes @ (low + high) / 2
    return Error(
        thing.kind,
        1e3 * float(np.linalg.norm(away - ray * (away @ ray))),
        1e3 * float(np.linalg.norm(found.centre - thing.centre)),
        1e3 * float(np.linalg.norm(visible - thing.centre)),
        1e3 * float(np.linalg.norm(found.centre - visible)),
        size_error(found.size, thing.size),
        size_error(found.size, high - low),
        axes_error(found.axes, thing.axes, thing.kind in ROUND),
    )


def size_error(found: FloatArray, true: FloatArray) -> float:
    """Mean over the sides, longest with longest, of the error in per cent of the true longest side."""
    return 100 * float(np.abs(np.sort(found) - np.sort(true)).mean() / true.max())


def axes_error(found: FloatArray, true: FloatArray, is_round: bool) -> float:
    """Degrees between true axes (round: the upright one) and the nearest of the box's, the worst of them."""
    along = np.abs(found.T @ true)
    if is_round:
        worst = along[:, 2].max()
    else:
        worst = max(min(along[i, j] for i, j in enumerate(order)) for order in permutations(range(3)))
    return float(np.degrees(np.arccos(min(worst, 1.0))))


def with_noise(scene: Scene, noise: float, rng: np.random.Generator) -> Scene:
    """Depth as of a stereo camera: normal noise, `noise` metres at 1 m, growing with the square."""
    metres = scene.depth.metres
    errors = (noise * rng.standard_normal(metres.shape)).astype(np.float32)
    return scene.with_depth(metres + errors * metres**2) if noise else scene


def matched(instances: Instances, things: Instances) -> Iterator[tuple[int, int]]:
    """(instance, thing), indices, of each thing's best overlap, where that is LEAST_IOU or more."""
    found, true = mask_areas(instances.masks), mask_areas(things.masks)
    ious = mask_ious(intersection_areas(instances.masks, things.masks), found, true)
    for thing in range(len(things)) if len(instances) else ():
        best = int(ious[:, thing].argmax())
        if ious[best, thing] >= LEAST_IOU:
            yield best, thing


def table(errors: list[Error], frames: int) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    for kind in [*dict.fromkeys(error.kind for error in errors), "all"]:
        part = [error for error in errors if kind in (error.kind, "all")]
        things = len({error.kind for error in part})

        def of(name: str, percent: int = 50, part: list[Error] = part) -> str:
            return f"{np.percentile([getattr(error, name) for error in part], percent):.1f}"

        cells = [kind, f"{100 * len(part) / frames / things:.0f} %", of("centroid_sideways"), of("centre")]
        cells += [of("centre", 95), of("unseen"), of("own"), of("own", 95), of("size"), of("own_size")]
        lines.append(f"| {' | '.join([*cells, of('axes'), of('axes', 95)])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bag", type=Path, default=DEMO)
    parser.add_argument("--masks", choices=("true", "model"), default="true")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--noise", type=float, default=0.0, help="of depth at 1 m, in metres")
    parser.add_argument("--erosion", type=int, default=LiftOptions().erosion_px)
    parser.add_argument("--frames", type=int, help="every n-th so that there are about so many")
    parser.add_argument("--pictures", type=Path, help="folder for some frames with their boxes")
    options = parser.parse_args()
    predictor = Predictor(options.config, options.weights) if options.masks == "model" else None
    rng, lift = np.random.default_rng(0), LiftOptions(erosion_px=options.erosion)
    errors, seconds, lifted, count = [], [], 0, 0
    for index, clean in enumerate(read_scenes(options.bag, options.frames)):
        scene, count = with_noise(clean, options.noise, rng), count + 1
        instances = clean.instances
        if predictor:
            instances = predictor(scene.bgr).segmentation.instances.scored_over(0.5)
        start = perf_counter()
        objects = lift_instances(instances, scene.depth, scene.pinhole, lift)
        seconds.append(perf_counter() - start)
        lifted += len(objects)
        for best, thing in matched(instances, scene.instances):
            if objects[best].num_points:
                errors.append(compare(objects[best], scene.things[thing], clean.seen(thing)))
        if options.pictures and index % 25 == 0:
            options.pictures.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(options.pictures / f"{index:06d}.png"), draw(scene, objects))
    print(table(errors, count))
    took = f"lifted in {1e3 * np.median(seconds):.1f} ms (median)"
    print(f"\n{count} frames, {lifted / count:.1f} objects each, {took}")


if __name__ == "__main__":
    main()
