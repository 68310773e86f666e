# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Photographs for the embedded model: `python select_photographs.py --photographs DIR --out DIR`.

Writes for each source train_SOURCE.json and val_SOURCE.json in COCO's format; the images stay where they are.
Every tenth scene is for validation: pictures of one scene stay on one side. Pictures with licence class `nc`
are left out. train_coco_panoptic.json has those of train_coco.json again that have panoptic maps, and
train_coco_negative.json those that show none of the model's things, to be shown more often.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from seg_node.labels import COCO_THING_NAMES

EVERY = 10
COCO_SOURCES = ("coco", "coco_a", "coco_b")
OWN = ("block", "box", "can", "food", "plate")  # classes that COCO does not draw
FOOD = (
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "bread",
)
# where food and crockery are, some of it is not drawn
KITCHEN = {
    "dining table",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "microwave",
    "oven",
}
KITCHEN |= {"toaster", "sink", "refrigerator", *FOOD}
# categories of COCO that are, or show, things of the model
THINGS = {"person", "bottle", "cup", "wine glass", "bowl", "book", "dining table", *OWN, *FOOD}
# what does not occur in a source beyond what is drawn: looked at, or plain from what it shows
ABSENT = {
    "rmgc": (*FOOD, "food", "bowl", "plate"),
    "cots": (*FOOD, "food", "block", "can", "person"),
    "toyblocks": (*FOOD, "food", "bottle", "cup", "wine glass", "bowl", "plate", "can", "book"),
    "plates": ("block", "can", "book"),
    "ccp": (*FOOD, *OWN, "bowl", "book"),
    "coco_street": (*FOOD, "food", "block", "can", "plate", "bowl", "book"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="folder with coco_train.json and real_extra"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    coco, extra = (
        json.loads((args.photographs / name).read_text())
        for name in ("coco_train.json", "real_extra/annotations.json")
    )
    coco["categories"] += [category for category in extra["categories"] if category["name"] in OWN]
    for content in (coco, extra):
        drawn = drawn_in_pictures(content)
        for image in content["images"]:
            image.setdefault("source", "coco")
            image["exhaustive_categories"] = exhaustive(image, drawn.get(image["id"], set()))
        for source in sorted({image["source"] for image in content["images"]}):
            write(content, source, args.out)
    panoptic = json.loads((args.photographs / "panoptic" / "gt.json").read_text())
    chosen = json.loads((args.out / "train_coco.json").read_text())
    mapped = {annotation["image_id"] for annotation in panoptic["annotations"]}
    pictures = [image for image in chosen["images"] if image["id"] in mapped]
    write_part(chosen, pictures, args.out / "train_coco_panoptic.json")
    drawn = drawn_in_pictures(chosen)
    pictures = [image for image in chosen["images"] if not drawn.get(image["id"], set()) & THINGS]
    write_part(chosen, pictures, args.out / "train_coco_negative.json")


def drawn_in_pictures(content: dict[str, Any]) -> dict[int, set[str]]:
    names = {category["id"]: category["name"] for category in content["categories"]}
    drawn: dict[int, set[str]] = {}
    for annotation in content["annotations"]:
        drawn.setdefault(annotation["image_id"], set()).add(names[annotation["category_id"]])
    return drawn


def exhaustive(image: dict[str, Any], drawn: set[str]) -> list[str]:
    """Categories of which the picture shows nothing beyond what is drawn."""
    if image["source"] not in COCO_SOURCES:
        return sorted({*image["exhaustive_categories"], *ABSENT.get(image["source"], ())})
    if drawn & KITCHEN:
        return sorted({*COCO_THING_NAMES, "block"} - set(FOOD))
    return sorted({*COCO_THING_NAMES, *OWN, *FOOD})


def write(content: dict[str, Any], source: str, out: Path) -> None:
    images = [
        image
        for image in content["images"]
        if image["source"] == source and image.get("licence_class") != "nc"
    ]
    scenes = sorted({scene(image) for image in images})
    kept_apart = set(scenes[EVERY // 2 :: EVERY])
    for part, wanted in (("train", False), ("val", True)):
        chosen = [image for image in images if (scene(image) in kept_apart) == wanted]
        write_part(content, chosen, out / f"{part}_{source}.json")


def write_part(content: dict[str, Any], images: list[dict[str, Any]], path: Path) -> None:
    ids = {image["id"] for image in images}
    annotations = [a for a in content["annotations"] if a["image_id"] in ids]
    selected = {"images": images, "annotations": annotations, "categories": content["categories"]}
    path.write_text(json.dumps(selected))
    print(f"{path.name}: {len(images)} pictures, {len(annotations)} objects")


def scene(image: dict[str, Any]) -> str:
    """Pictures with the same one show the same scene (rmgc: rotated versions of one picture)."""
    return str(image.get("source_image", image["file_name"]))


if __name__ == "__main__":
    main()
