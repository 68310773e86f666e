"""Accuracy of the embedded model, through seg_node: `python evaluate.py --photographs DIR --heldout DIR`.

Prints Markdown tables: mask AP per class on the demo's stream, on held-out renders and on COCO photographs,
false alarms, and the time of a frame.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

sys.path.insert(0, str(Path(__file__).parents[1]))

from seg_node.engine import Engine
from seg_node.masks import rle_counts
from seg_node.models.load import load_model
from seg_node.sources import read_bag
from seg_node.types import Frame, SegmentOptions

Image = np.ndarray
OWN_COCO = ("person", "bottle", "cup", "bowl", "book")


class Judge:
    """The model, and what it says of a set of pictures."""

    def __init__(self, weights: Path | None) -> None:
        model = load_model("auto", weights)
        self.names = model.labels.things
        self.options = model.default_options
        self.engine = Engine(model, torch.device("cpu"))
        self.milliseconds: list[float] = []

    def look(self, image: Image, options: SegmentOptions) -> Any:
        found = self.engine.segment(Frame(image, "bgr"), options)
        self.milliseconds.append(sum(found.stage_ms.values()))
        return found.instances

    def results(self, truth: COCO, pictures: Iterable[tuple[int, Image]]) -> list[dict[str, Any]]:
        """COCO results under the category ids of `truth`."""
        ids = {category["name"]: category["id"] for category in truth.cats.values()}
        rows = []
        for image_id, image in pictures:
            size = image.shape[:2]
            found = self.look(image, self.options)
            for crop, score, class_id in zip(found.masks, found.scores, found.class_ids, strict=True):
                if crop.area == 0 or self.names[int(class_id)] not in ids:
                    continue
                rle = {"size": list(size), "counts": rle_counts(crop, size)}
                category = ids[self.names[int(class_id)]]
                row = {
                    "image_id": image_id,
                    "category_id": category,
                    "segmentation": rle,
                    "score": float(score),
                }
                rows.append(row)
        return rows


def average_precision(
    truth: COCO, rows: list[dict[str, Any]], names: Iterable[str]
) -> dict[str, list[float]]:
    """Mask AP, AP50, recall at 100 detections and number of objects of each class that occurs."""
    table = {}
    with contextlib.redirect_stdout(io.StringIO()):
        found = truth.loadRes(rows)
    for name in names:
        categories = truth.getCatIds([name])
        count = len(truth.getAnnIds(catIds=categories, iscrowd=False)) if categories else 0
        if not count:
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            judged = COCOeval(truth, found, "segm")
            judged.params.catIds = categories
            judged.evaluate()
            judged.accumulate()
            judged.summarize()
        table[name] = [judged.stats[0], judged.stats[1], judged.stats[8], count]
    return table


def show(title: str, table: dict[str, list[float]]) -> None:
    print(f"\n{title}\n\n| class | objects | AP | AP50 | recall |\n|---|---|---|---|---|")
    for name, (ap, ap50, recall, count) in table.items():
        print(f"| {name} | {count:.0f} | {100 * ap:.1f} | {100 * ap50:.1f} | {100 * recall:.1f} |")
    ap, ap50, recall, _ = np.mean(list(table.values()), axis=0)
    print(f"| mean | | {100 * ap:.1f} | {100 * ap50:.1f} | {100 * recall:.1f} |", flush=True)


def read_truth(file: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(file))


def files(truth: COCO, folder: Path) -> Iterator[tuple[int, Image]]:
    for image in truth.imgs.values():
        yield image["id"], cv2.imread(str(folder / image["file_name"]))


def demo_frames(bag: Path) -> Iterator[tuple[int, Image]]:
    for number, (_, frame) in enumerate(read_bag(bag)):
        yield number, frame.pixels


def false_alarms(judge: Judge, truth: COCO, folder: Path) -> None:
    """Detections at 0.5 and more in photographs that show none of the model's COCO classes."""
    ours = set(truth.getImgIds()).difference(
        *(truth.getImgIds(catIds=truth.getCatIds([name])) for name in OWN_COCO)
    )
    counts: dict[str, int] = {}
    for image_id in sorted(ours):
        image = cv2.imread(str(folder / truth.imgs[image_id]["file_name"]))
        found = judge.look(image, judge.options)
        for class_id in found.class_ids[found.scores >= 0.5]:
            counts[judge.names[int(class_id)]] = counts.get(judge.names[int(class_id)], 0) + 1
    total = sum(counts.values())
    print(f"\nFalse alarms at 0.5 in {len(ours)} photographs without these things: {total} {counts}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="folder with coco_val and coco_val.json"
    )
    parser.add_argument("--heldout", type=Path, required=True, help="renders with --held-out")
    parser.add_argument("--weights", type=Path, help="another file than the package's")
    args = parser.parse_args()
    judge = Judge(args.weights)
    demo = Path(__file__).parents[1] / "demo"
    sets: tuple[tuple[str, Path, Callable[[COCO], Iterator[tuple[int, Image]]]], ...] = (
        (
            "Demo stream",
            demo / "tabletop" / "truth" / "annotations.json",
            lambda _: demo_frames(demo / "tabletop"),
        ),
        (
            "Held-out renders",
            args.heldout / "annotations.json",
            lambda truth: files(truth, args.heldout / "images"),
        ),
        (
            "COCO val2017 photographs",
            args.photographs / "coco_val.json",
            lambda truth: files(truth, args.photographs / "coco_val"),
        ),
    )
    for title, file, pictures in sets:
        truth = read_truth(file)
        rows = judge.results(truth, pictures(truth))
        show(title, average_precision(truth, rows, judge.names.values()))
    false_alarms(judge, truth, args.photographs / "coco_val")
    print(f"\nMedian of {len(judge.milliseconds)} frames: {np.median(judge.milliseconds):.0f} ms")


if __name__ == "__main__":
    main()
