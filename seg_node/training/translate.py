"""A ground truth written anew in the model's classes, as `seg_node evaluate` takes it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seg_node.coco import panoptic_png
from seg_node.ground_truth import PanopticTruth, read_segment_map
from seg_node.training.classes import UNKNOWN, ClassMap
from seg_node.training.dataset import DataSet, Truth
from seg_node.types import LabelSet


def translate(truth: Truth, classes: ClassMap, labels: LabelSet, stem: Path) -> DataSet:
    """Writes stem.json and, when there are maps and the model has stuff, stem_panoptic.json with its PNGs.

    Category ids are the model's class ids. Objects and regions of none of its classes are left out; regions
    of one kind of stuff become one.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    names = truth.instances.categories
    annotations = [
        {**annotation, "category_id": label}
        for annotation in truth.instances.annotations
        if (label := classes.thing_of(names[annotation["category_id"]]))
    ]
    data = stem.with_suffix(".json")
    _write(data, truth.instances.images, annotations, _categories(labels.things, labels))
    written = replace(truth.source, data=data, panoptic=None, panoptic_dir=None)
    if truth.panoptic is None or not labels.stuff:
        return written
    panoptic = stem.with_name(f"{stem.name}_panoptic.json")
    maps = panoptic.with_suffix("")
    maps.mkdir(exist_ok=True)
    images = {i: image for i, image in truth.panoptic.images.items() if i in truth.instances.images}
    entries = [_translate_map(truth.panoptic, i, classes, labels, maps) for i in images]
    _write(panoptic, images, entries, _categories({**labels.things, **labels.stuff}, labels))
    return replace(written, panoptic=panoptic, panoptic_dir=maps)


def _translate_map(
    truth: PanopticTruth, image_id: int, classes: ClassMap, labels: LabelSet, folder: Path
) -> dict[str, Any]:
    """Writes one PNG, whose segments are numbered 1, 2, …; returns its entry of the JSON file."""
    before = read_segment_map(truth.maps[image_id])
    after = np.zeros(before.shape, np.uint16)
    stuff_number: dict[int, int] = {}
    entries: dict[int, dict[str, Any]] = {}
    for segment in truth.segments[image_id]:
        class_id = _class_id(truth.categories[segment.category_id], classes, labels)
        if class_id == 0:
            continue
        number = stuff_number.get(class_id, len(entries) + 1)
        if class_id in labels.stuff:
            stuff_number[class_id] = number
        after[before == segment.id] = number
        crowd = segment.is_crowd and class_id in labels.things
        entries[number] = {"id": number, "category_id": class_id, "iscrowd": int(crowd)}
    areas = np.bincount(after.reshape(-1), minlength=len(entries) + 1).tolist()
    name = f"{image_id:0>12}.png"
    Image.fromarray(panoptic_png(after)).save(folder / name)
    segments = [{**entry, "area": areas[number]} for number, entry in entries.items()]
    return {"image_id": image_id, "file_name": name, "segments_info": segments}


def _class_id(category: str, classes: ClassMap, labels: LabelSet) -> int:
    """Of the model; 0 for none."""
    if thing := classes.thing_of(category):
        return thing
    stuff = classes.stuff_of(category)
    return 0 if stuff == UNKNOWN else len(labels.things) + stuff


def _categories(names: Mapping[int, str], labels: LabelSet) -> list[dict[str, Any]]:
    return [{"id": i, "name": name, "isthing": int(i in labels.things)} for i, name in names.items()]


def _write(
    path: Path,
    images: Mapping[int, Any],
    annotations: Sequence[Mapping[str, Any]],
    categories: list[dict[str, Any]],
) -> None:
    sizes = [
        {"id": i.id, "file_name": i.file_name, "height": i.size[0], "width": i.size[1]}
        for i in images.values()
    ]
    content = {"images": sizes, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content) + "\n")
