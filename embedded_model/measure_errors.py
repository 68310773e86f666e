# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Measure which classes a model confuses, and in which frames of the demo's stream it loses an object.

    scripts/run python embedded_model/measure_errors.py --set renders FILE DIR [--set …] [--weights FILE]

prints Markdown for detections over the model's default threshold, matched by masks with an IoU of 0.5: for
each set a confusion table and the detections per picture where none of its things is labelled; for the demo's
stream the share of frames in which each object is found under its own name. `classes.yaml` joins the
categories.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from confusion import NONE, Errors, count_errors, match_masks
from tqdm import tqdm

from seg_node.evaluation.true_pictures import read_picture
from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.sources.source import read_bag
from seg_node.training.classes import read_class_map
from seg_node.training.dataset import DataSet, read_pictures, read_truth
from seg_node.training.sample import decode_masks

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent / "demo/tabletop"
MISSED = "missed"


@dataclass
class Stream:
    """One object of the stream. names: in how many frames it is found under each name, or missed."""

    category: str
    names: Counter[str] = field(default_factory=Counter)


def measure_set(engine: Engine, source: DataSet) -> Errors:
    errors = Errors()
    pictures = read_pictures(read_truth(source), read_class_map(HERE / "classes.yaml"))
    for picture in tqdm(pictures, desc=source.data.name, disable=None):
        found = engine.segment(read_picture(picture.path, picture.size), engine.default_options)
        count_errors(errors, found.instances, picture)
    return errors


def measure_stream(engine: Engine) -> dict[str, Stream]:
    """Return the objects of the demo's stream by kind."""
    truth = json.loads((DEMO / "truth/annotations.json").read_text())
    poses = json.loads((DEMO / "truth/poses.json").read_text())["frames"]
    kinds = {thing["segment_id"]: thing for frame in poses for thing in frame["objects"]}
    known = set(engine.labels.things.values())
    by_frame = defaultdict(list)
    for annotation in truth["annotations"]:
        if kinds[annotation["id"] % 10000]["category"] in known:
            by_frame[annotation["image_id"]].append(annotation)
    objects: dict[str, Stream] = {}
    for number, (_, frame) in enumerate(tqdm(read_bag(DEMO), desc="demo", disable=None)):
        found = engine.segment(frame, engine.default_options).instances
        own = by_frame[number]
        matches = match_masks(found, decode_masks([a["segmentation"] for a in own], frame.image_size))
        names = {i: engine.labels.things[int(c)] for i, c in zip(matches, found.class_ids, strict=True)}
        for i, annotation in enumerate(own):
            thing = kinds[annotation["id"] % 10000]
            name = names.get(i, MISSED)
            objects.setdefault(thing["kind"], Stream(thing["category"])).names[name] += 1
    return objects


def confusion_table(errors: Errors, names: Mapping[int, str]) -> str:
    """Rows are true classes, columns found ones; the last row counts detections where nothing is."""
    true = [i for i in names if any(pair[0] == i for pair in errors.pairs)]
    rows = [["true \\ found", *names.values(), "missed", "own name"], ["---"] * (len(names) + 3)]
    for row, title in [*((i, names[i]) for i in true), (NONE, "nothing")]:
        counts = [errors.pairs[row, i] for i in names]
        missed = errors.pairs[row, NONE]
        share = "" if row == NONE else f"{errors.pairs[row, row] / (sum(counts) + missed):.0%}"
        rows.append([title, *(str(n or "") for n in counts), "" if row == NONE else str(missed), share])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def false_detections(errors: Errors, names: Mapping[int, str]) -> str:
    """Describe the detections on pictures without any of the model's things."""
    if not errors.empty:
        return "No picture is free of the model's things."
    total = errors.false_on_empty.total()
    each = ", ".join(f"{n} {names[i]}" for i, n in errors.false_on_empty.most_common())
    rate = f"{total / errors.empty:.2f} a picture"
    return f"{errors.empty} pictures without its things: {total} detections, {rate} ({each or 'none'})."


def stream_table(objects: Mapping[str, Stream]) -> str:
    rows = ["| object | class | frames | own name | otherwise |", "|---|---|---|---|---|"]
    for kind, found in objects.items():
        frames, own = found.names.total(), found.names[found.category]
        others = ", ".join(f"{name} {n}" for name, n in found.names.most_common() if name != found.category)
        rows.append(f"| {kind} | {found.category} | {frames} | {own / frames:.0%} | {others} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--set",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "ANNOTATIONS", "IMAGES"),
        help="COCO annotations and their folder of images; may be repeated",
    )
    parser.add_argument("--weights", help="weights file (default: the embedded model)")
    parser.add_argument("--no-demo", action="store_true", help="leave the demo's stream out")
    args = parser.parse_args()
    engine = Engine(load_model("auto", args.weights), torch.device("cpu"))
    names = engine.labels.things
    for title, file, images in args.set:
        errors = measure_set(engine, DataSet(Path(file), Path(images)))
        print(f"\n**{title}**, {errors.pictures} pictures\n\n{confusion_table(errors, names)}\n")
        print(false_detections(errors, names))
    if not args.no_demo:
        print(f"\n**The demo's stream**\n\n{stream_table(measure_stream(engine))}")


if __name__ == "__main__":
    main()
