# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""How well ids last, and what that costs: identity switches and IDF1 on the demo's rendered stream.

    pip install 'motmetrics>=1.4'
    scripts/run python benchmarks/tracking.py --out DIR

writes DIR/tracking.json and prints the tables of benchmarks/README.md, which says what they mean.
"""

import argparse
import json
import time
from collections import Counter
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common.fixed_model import random_boxes, random_masks
from common.tracking_scenes import Scene, behind_a_bar, perturbed, predicted, read_truth

from seg_node.masks.overlap import intersection_areas, mask_areas, mask_ious
from seg_node.track import Tracker, TrackOptions
from seg_node.types import Instances, MaskCrop

DEMO = Path(__file__).resolve().parents[1] / "demo/tabletop"
SEED = 0
# A sighting with a smaller mask IoU is not of that object: MOTChallenge's convention.
LEAST_IOU = 0.5
BRIEF = 3  # ids with fewer sightings are counted as brief: most are false detections
METRICS = ("idf1", "num_switches", "mota", "recall", "precision", "num_unique_objects")
COST_SIZES, COST_COUNT, COST_FRAMES = ((480, 640), (720, 1280), (1080, 1920)), 20, 400


def score(scene: Scene, ids: list[list[int]]) -> dict[str, float]:
    """motmetrics' numbers for the ids given to each frame's instances, `detection_f1`, `ids` and `brief_ids`.

    detection_f1: harmonic mean of recall and precision; no ids whatever can bring IDF1 above it.

    Raises RuntimeError without the package motmetrics.
    """
    try:
        import motmetrics
    except ImportError:
        raise RuntimeError(
            "scoring ids needs the package motmetrics: pip install 'motmetrics>=1.4'"
        ) from None
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for things, instances, given in zip(scene.truth, scene.found, ids, strict=True):
        true_masks, masks = [thing.mask for thing in things], list(instances.masks)
        ious = mask_ious(intersection_areas(true_masks, masks), mask_areas(true_masks), mask_areas(masks))
        accumulator.update(
            [thing.id for thing in things], given, np.where(ious >= LEAST_IOU, 1 - ious, np.nan)
        )
    numbers = motmetrics.metrics.create().compute(accumulator, metrics=list(METRICS), return_dataframe=False)
    scores = {name: round(float(numbers[name]), 4) for name in METRICS}
    recall, precision = scores["recall"], scores["precision"]
    scores["detection_f1"] = round(2 * recall * precision / max(recall + precision, 1e-9), 4)
    sightings = Counter(number for given in ids for number in given)
    scores["ids"] = len(sightings)
    scores["brief_ids"] = sum(count < BRIEF for count in sightings.values())
    return scores


def track(scene: Scene, options: TrackOptions) -> list[list[int]]:
    tracker = Tracker()
    return [
        tracker.update(instances, stamp_ns, options).ids.tolist()
        for instances, stamp_ns in zip(scene.found, scene.stamps_ns, strict=True)
    ]


def cost_ms(image_size: tuple[int, int], count: int) -> dict[str, Any]:
    """Milliseconds of one `update` with as many objects found as followed; they swing from side to side."""
    frames = [_moving(image_size, count, shift) for shift in (0, 3, 6, 3)]
    tracker, options, times = Tracker(), TrackOptions(), []
    for number in range(COST_FRAMES):
        began = time.perf_counter()
        tracker.update(frames[number % len(frames)], number * 10**7, options)
        times.append((time.perf_counter() - began) * 1e3)
    least, median, p95 = np.percentile(times[len(frames) :], (0, 50, 95)).round(3).tolist()
    return {"image_size": image_size, "objects": count, "min_ms": least, "p50_ms": median, "p95_ms": p95}


def _moving(image_size: tuple[int, int], count: int, shift: int) -> Instances:
    height, width = image_size
    boxes = random_boxes(count).numpy() * [width, height, width, height] + [shift, 0, shift, 0]
    masks = []
    for (left, top, right, bottom), probs in zip(
        boxes.astype(int).tolist(), random_masks(count), strict=True
    ):
        pixels = cv2.resize(probs.numpy(), (max(right - left, 1), max(bottom - top, 1))) > 0.5
        masks.append(MaskCrop(left, top, pixels))
    return Instances(
        boxes.astype(np.float32),
        np.ones(count, np.float32),
        np.arange(count, dtype=np.int32) % 9,
        tuple(masks),
        np.arange(1, count + 1, dtype=np.uint32),
    )


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| sequence | objects | ids | switches | IDF1 | its bound | MOTA | recall | precision |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in results:
        counts = f"{row['num_unique_objects']:.0f} | {row['ids']} | {row['num_switches']:.0f}"
        names = ("idf1", "detection_f1", "mota", "recall", "precision")
        lines.append(f"| {row['sequence']} | {counts} | {' | '.join(f'{row[name]:.3f}' for name in names)} |")
    return "\n".join(lines)


def cost_table(costs: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| image | objects | min ms | p50 ms | p95 ms |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in costs:
        height, width = row["image_size"]
        numbers = " | ".join(f"{row[name]:.2f}" for name in ("min_ms", "p50_ms", "p95_ms"))
        lines.append(f"| {width}x{height} | {row['objects']} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for tracking.json")
    parser.add_argument("--score-threshold", type=float, default=0.5, help="of the embedded model (0.5)")
    arguments = parser.parse_args()
    options = TrackOptions()
    costs = [cost_ms(size, COST_COUNT) for size in COST_SIZES]
    stamps_ns, truth = read_truth(DEMO)
    noisy = perturbed(stamps_ns, truth, dropped=0.1, wrong_class=0.05, seed=SEED)
    scenes = [noisy, noisy.every(3), behind_a_bar(stamps_ns, truth)]
    scores = [{"sequence": scene.name, **score(scene, track(scene, options))} for scene in scenes]
    found = predicted(DEMO, truth, arguments.score_threshold)
    by_rank = [instances.ids.tolist() for instances in found.found]
    scores.append({"sequence": f"{found.name}, id = rank by score", **score(found, by_rank)})
    for scene in (found, found.every(3)):
        scores.append({"sequence": scene.name, **score(scene, track(scene, options))})
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = {"date": f"{date.today()}", "options": asdict(options), "scores": scores, "cost": costs}
    (arguments.out / "tracking.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"{table(scores)}\n\n{cost_table(costs)}")


if __name__ == "__main__":
    main()
