"""Photographs for the embedded model: `python select_photographs.py --photographs DIR --out DIR`.

Writes for each source train_SOURCE.json and val_SOURCE.json in COCO's format; the images stay where they are.
Every tenth scene is for validation: pictures of one scene stay on one side. Pictures with licence class `nc`
are left out. train_coco_panoptic.json has those of train_coco.json again that have panoptic maps, to be shown
more often.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

EVERY = 10
COCO_SOURCES = ("coco", "coco_a", "coco_b")
# drawn in COCO's pictures, but only these kinds of food: that there is no other food is not known
PARTLY = "food"


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
    classes = yaml.safe_load((Path(__file__).parent / "classes.yaml").read_text())
    food = {PARTLY, *classes["things"][PARTLY]}
    for name in ("coco_train.json", "real_extra/annotations.json"):
        content = json.loads((args.photographs / name).read_text())
        for image in content["images"]:
            image.setdefault("source", "coco")
            if image["source"] in COCO_SOURCES:
                names = [category["name"] for category in content["categories"] if category["id"] <= 90]
                image["exhaustive_categories"] = [name for name in names if name not in food]
        for source in sorted({image["source"] for image in content["images"]}):
            write(content, source, args.out)
    panoptic = json.loads((args.photographs / "panoptic" / "gt.json").read_text())
    chosen = json.loads((args.out / "train_coco.json").read_text())
    mapped = {annotation["image_id"] for annotation in panoptic["annotations"]}
    write_part(
        chosen, [i for i in chosen["images"] if i["id"] in mapped], args.out / "train_coco_panoptic.json"
    )


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
