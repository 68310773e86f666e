# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Check the instance annotations of a COCO file and bring them into one form."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from seg_node.evaluation.coco_fields import Id, is_listed, read_flag, read_id, shown, value_of
from seg_node.evaluation.coco_file import Entries, Notes, errors_about, label_of
from seg_node.evaluation.coco_masks import box_of, check_together, disagree, read_box, read_segmentation
from seg_node.evaluation.true_pictures import TrueImage

_NO_CROWD = "iscrowd null is read as 0"
_NO_BOX = "a missing bbox is taken from the mask"
_NO_MASK = (
    "objects with a box and no mask are ignored, neither scored by mask nor taught: draw polygons of at "
    "least three points to use them"
)
_DISAGREE = (
    "masks that are outside of their picture or hardly overlap their bbox are doubtful: write coordinates in "
    "pixels, not from 0 to 1, and bbox as x, y, width, height"
)
_STRAY = "annotations of images or categories that are not listed are left out"
_SCRAPS = "polygons of fewer than three points are left out of their mask"


def read_annotations(
    entries: Entries,
    images: Mapping[Id, TrueImage],
    categories: Collection[Id],
    path: Path,
    notes: Notes,
) -> tuple[dict[str, Any], ...]:
    """Read annotations, each as {id, image_id, category_id, bbox, segmentation, iscrowd}.

    bbox: [x, y, width, height]. segmentation: polygons, run lengths, or None for an object with only a box.
    iscrowd: 0 or 1.

    Raises ValueError naming the file, the annotation, and what is wrong with it.
    """
    annotations, strays = [], []
    for index, entry in enumerate(entries):
        label = partial(label_of, "annotation", entry, index)
        with errors_about(path, label):
            image_id, category_id = read_id(entry, "image_id"), read_id(entry, "category_id")
            listed = is_listed("image", image_id, images), is_listed("category", category_id, categories)
        if not all(listed):
            missing = f"category {shown(category_id)}" if listed[0] else f"image {shown(image_id)}"
            strays.append(f"{label()} is of {missing}")
            notes.add(_STRAY, strays[-1])
            continue
        label = partial(_label_with_image, entry, index)
        with errors_about(path, label):
            annotation, read_as = _form(entry, images[image_id].size)
        annotations.append({**annotation, "image_id": image_id, "category_id": category_id})
        for text in read_as:
            notes.add(text, label())
    if strays and not annotations:
        raise ValueError(
            f"{path}: {strays[0]}, which is not listed, and none of the {len(strays)} annotations is of what "
            "is; list their images and categories"
        )
    _check_each_image(annotations, images, path)
    if annotations and all(annotation["segmentation"] is None for annotation in annotations):
        count = len(annotations)
        raise ValueError(f"{path}: none of the {count} annotations has a mask: draw polygons of three points")
    return tuple(annotations)


def note_crowds(
    annotations: Collection[Mapping[str, Any]],
    names: Mapping[Id, str],
    notes: Notes,
    kind: str = "annotations",
) -> None:
    """Note categories whose annotations are all crowds. kind: what annotations are called in the note."""
    crowds = [annotation["category_id"] for annotation in annotations if annotation["iscrowd"]]
    objects = {annotation["category_id"] for annotation in annotations if not annotation["iscrowd"]}
    without_objects = set(crowds) - objects
    if only_crowds := [shown(name) for category_id, name in names.items() if category_id in without_objects]:
        notes.add(
            f"{len(crowds)} of {len(annotations)} {kind} are crowds (iscrowd 1), which are neither "
            "scored nor taught; CVAT writes that for brush masks: set iscrowd to 0 where each is one object",
            f"all of {', '.join(only_crowds[:5])}{', …' if len(only_crowds) > 5 else ''}",
        )


def _check_each_image(
    annotations: Collection[Mapping[str, Any]], images: Mapping[Id, TrueImage], path: Path
) -> None:
    masks: dict[Id, list[Any]] = {}
    for annotation in annotations:
        masks.setdefault(annotation["image_id"], []).append(annotation["segmentation"])
    for image_id, segmentations in masks.items():
        with errors_about(path, partial("image {}".format, shown(image_id))):
            check_together(segmentations, images[image_id].size)


def _label_with_image(entry: Mapping[str, Any], index: int) -> str:
    return f"{label_of('annotation', entry, index)} of image {shown(entry['image_id'])}"


def _form(entry: Mapping[str, Any], size: tuple[int, int]) -> tuple[dict[str, Any], list[str]]:
    """Check what does not depend on other lists of the file; return the annotation and notes about it."""
    segmentation, has_scraps = read_segmentation(value_of(entry, "segmentation"), size)
    box = read_box(entry.get("bbox"), size)
    if segmentation is None and box is None:
        raise ValueError("has no mask: draw a polygon of at least three points, or remove the annotation")
    around = None if segmentation is None else box_of(segmentation, size)
    annotation = {
        "id": entry.get("id"),
        "bbox": around if box is None else box,
        "segmentation": segmentation,
        "iscrowd": int(read_flag(entry, "iscrowd")),
    }
    read_as = {
        _NO_CROWD: entry.get("iscrowd", 0) is None,
        _NO_BOX: box is None,
        _NO_MASK: segmentation is None,
        _SCRAPS: has_scraps,
        _DISAGREE: around is not None and disagree(box or around, around, size),
    }
    return annotation, [text for text, holds in read_as.items() if holds]
