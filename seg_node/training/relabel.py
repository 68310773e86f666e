# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Rewrite a ground truth in the model's classes, for `seg_node evaluate`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seg_node.evaluation.coco import map_name, panoptic_png
from seg_node.evaluation.coco_fields import Id
from seg_node.evaluation.ground_truth import PanopticTruth
from seg_node.evaluation.true_pictures import TrueImage, read_segment_map, relabel
from seg_node.training.classes import UNKNOWN, ClassMap
from seg_node.training.dataset import DataSet, Truth
from seg_node.types import LabelSet


def relabel_truth(truth: Truth, classes: ClassMap, labels: LabelSet, stem: Path) -> DataSet:
    """Write stem.json and, with panoptic maps and stuff classes, stem_panoptic.json and its PNGs.

    Category ids are the model's class ids. Objects and regions of no class are dropped; regions of the same
    stuff are merged.
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
    entries = [_relabel_map(truth.panoptic, image, classes, labels, maps) for image in images.values()]
    _write(panoptic, images, entries, _categories({**labels.things, **labels.stuff}, labels))
    return replace(written, panoptic=panoptic, panoptic_dir=maps)


def _relabel_map(
    truth: PanopticTruth, image: TrueImage, classes: ClassMap, labels: LabelSet, folder: Path
) -> dict[str, Any]:
    """Write one PNG with segments numbered 1, 2, …; return its entry for the JSON file."""
    segments = truth.segments[image.id]
    before = read_segment_map(truth.maps[image.id], image.size, {segment.id for segment in segments})
    number_of: dict[int, int] = {}
    stuff_number: dict[int, int] = {}
    entries: dict[int, dict[str, Any]] = {}
    for segment in segments:
        name = truth.categories.get(segment.category_id)
        class_id = _class_id(name, classes, labels) if name is not None else 0
        if class_id == 0:
            continue
        number = stuff_number.get(class_id, len(entries) + 1)
        if class_id in labels.stuff:
            stuff_number[class_id] = number
        number_of[segment.id] = number
        crowd = segment.is_crowd and class_id in labels.things
        entries[number] = {"id": number, "category_id": class_id, "iscrowd": int(crowd)}
    after = relabel(before, number_of, 0)
    areas = np.bincount(after.reshape(-1), minlength=len(entries) + 1).tolist()
    file_name = map_name(image.id)
    Image.fromarray(panoptic_png(after)).save(folder / file_name)
    infos = [{**entry, "area": areas[number]} for number, entry in entries.items()]
    return {"image_id": image.id, "file_name": file_name, "segments_info": infos}


def _class_id(category: str, classes: ClassMap, labels: LabelSet) -> int:
    """Return the model's class id of a category, 0 for none."""
    if thing := classes.thing_of(category):
        return thing
    stuff = classes.stuff_of(category)
    return 0 if stuff == UNKNOWN else len(labels.things) + stuff


def _categories(names: Mapping[int, str], labels: LabelSet) -> list[dict[str, Any]]:
    return [{"id": i, "name": name, "isthing": int(i in labels.things)} for i, name in names.items()]


def _write(
    path: Path,
    images: Mapping[Id, TrueImage],
    annotations: Sequence[Mapping[str, Any]],
    categories: list[dict[str, Any]],
) -> None:
    sizes = [
        {"id": i.id, "file_name": i.file_name, "height": i.size[0], "width": i.size[1]}
        for i in images.values()
    ]
    content = {"images": sizes, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content) + "\n")
