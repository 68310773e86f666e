# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Render a robot's tabletop camera with exact ground truth: `python render_tabletop.py --out DIR`.

Writes images/*.jpg, annotations.json (COCO instances), panoptic.json and panoptic/*.png (COCO panoptic) and,
with --depth, depth/*.png (16 bit, millimetres). Goes on where an earlier run stopped; several workers may
share a folder with different --first.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "osmesa")  # MuJoCo reads it once, when it is imported

import numpy as np
from PIL import Image
from render_camera import Eye, as_photographed, random_view
from render_layout import make_scene
from render_truth import (
    OWN,
    STUFF,
    THINGS,
    Json,
    instance_records,
    named_categories,
    panoptic_record,
    segment_map,
    write_json,
    write_segment_png,
)

SIZE = (480, 640)
# A camera closer than this to anything stands inside it.
NEAREST_M = 0.12
MERGE_EVERY = 25
# Degrees below the horizon: from above, cups look like bowls, which takes practice. The other sets keep 80.
STEEPEST, STEEPEST_IN_TRAINING = 80.0, 89.0


def render_scene(args: argparse.Namespace, number: int) -> Json:
    """All views of one scene; gives their records."""
    out = args.out
    scene, model, data, places = make_scene(args.seed * 1_000_000 + number, SIZE, args.held_out, args.own)
    bodies, labels = scene.labels(model)
    steepest = STEEPEST if args.held_out or args.own else STEEPEST_IN_TRAINING
    record: Json = {"images": [], "annotations": [], "panoptic": []}
    with Eye(model, data, SIZE) as eye:
        for view in range(args.views):
            for _ in range(8):
                eye.look(*random_view(scene.rng, places, steepest))
                depth = eye.depth_m()
                ids, names = segment_map(eye.geoms(), bodies, labels)
                if depth.min() > NEAREST_M and sum(segment >= 100 for segment in names) >= 2:
                    break
            image_id, name = number * 10 + view, f"{number:06d}_{view}"
            (out / "images" / f"{name}.jpg").write_bytes(as_photographed(eye.colour(), scene.rng))
            write_segment_png(out / "panoptic" / f"{name}.png", ids)
            if args.depth:
                millimetres = np.clip(np.round(depth * 1000), 0, 65535).astype(np.uint16)
                Image.fromarray(millimetres).save(out / "depth" / f"{name}.png")
            size = {"height": SIZE[0], "width": SIZE[1]}
            record["images"].append({"id": image_id, "file_name": f"{name}.jpg", **size})
            record["annotations"] += instance_records(ids, names, image_id, OWN if args.own else THINGS)
            record["panoptic"].append(panoptic_record(ids, names, image_id, f"{name}.png"))
    return record


def merge(out: Path, own: bool) -> None:
    """annotations.json and panoptic.json of all scenes there are."""
    parts = [json.loads(path.read_text()) for path in sorted((out / "scenes").glob("*.json"))]
    images = [image for part in parts for image in part["images"]]
    instances = [annotation for part in parts for annotation in part["annotations"]]
    panoptic = [annotation for part in parts for annotation in part["panoptic"]]
    write_json(
        out / "annotations.json",
        {"images": images, "annotations": instances, "categories": named_categories(OWN if own else THINGS)},
    )
    segments = named_categories(THINGS + STUFF + (OWN if own else ()))
    write_json(out / "panoptic.json", {"images": images, "annotations": panoptic, "categories": segments})


def render(args: argparse.Namespace) -> None:
    for name in ("images", "panoptic", "scenes", *(["depth"] if args.depth else [])):
        (args.out / name).mkdir(parents=True, exist_ok=True)
    began, done = time.monotonic(), 0
    for number in range(args.first, args.first + args.scenes):
        part = args.out / "scenes" / f"{number:06d}.json"
        if part.exists():
            continue
        write_json(part, render_scene(args, number))
        done += 1
        if done % MERGE_EVERY == 0:
            merge(args.out, args.own)
            rate = (time.monotonic() - began) / (done * args.views)
            print(f"scene {number}: {rate:.2f} s a picture", flush=True)
    merge(args.out, args.own)
    print("complete", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="number of the first scene")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--depth", action="store_true", help="write depth pictures too")
    parser.add_argument("--held-out", action="store_true", help="show the kinds that training never sees")
    parser.add_argument("--own", action="store_true", help="annotate frying pans and baskets, nothing else")
    render(parser.parse_args())


if __name__ == "__main__":
    main()
