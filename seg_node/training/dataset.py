# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets in COCO's formats as lists of pictures, which are opened when needed."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg_node.evaluation.coco_fields import Id, shown
from seg_node.evaluation.coco_masks import outline_of
from seg_node.evaluation.ground_truth import (
    InstanceTruth,
    PanopticTruth,
    read_instance_truth,
    read_panoptic_truth,
)
from seg_node.evaluation.true_pictures import (
    TrueImage,
    check_header,
    describe_backslashes,
    describe_missing,
    find_file,
    has_content,
)
from seg_node.labels import COCO_THING_NAMES
from seg_node.training.classes import UNKNOWN, ClassMap

# per picture: masks take a byte per pixel, and each object is compared with each of 40 000 anchors
_MAX_MASK_BYTES, _MAX_OBJECTS = 2**33, 5000


@dataclass(frozen=True)
class DataSet:
    """The user's files: annotations, images, and optionally panoptic maps.

    weight: sampling weight beside the other data sets; None: its number of pictures.
    """

    data: Path
    images: Path
    panoptic: Path | None = None
    panoptic_dir: Path | None = None
    weight: float | None = None


@dataclass(frozen=True)
class Truth:
    """A data set's content. exhaustive: by image id the categories whose every object is drawn."""

    source: DataSet
    instances: InstanceTruth
    panoptic: PanopticTruth | None
    exhaustive: Mapping[Id, tuple[str, ...]]


@dataclass(frozen=True)
class Picture:
    """One picture and its annotations.

    size: (height, width). labels: class of each object, 1, 2, …; segmentations: its mask as in the file.
    crowds: masks of regions that training ignores: several objects in one, an object without a mask, or an
    ignored category.
    exhaustive: see `ClassMap.exhaustive_things`.
    panoptic_map: its PNG; semantic_of: each segment's value in a semantic map.
    """

    path: Path
    size: tuple[int, int]
    labels: tuple[int, ...]
    segmentations: tuple[Any, ...]
    crowds: tuple[Any, ...]
    exhaustive: tuple[bool, ...]
    panoptic_map: Path | None
    semantic_of: Mapping[int, int]


def read_truth(source: DataSet) -> Truth:
    """Read a data set and check that its files exist.

    Raises FileNotFoundError; ValueError naming the file and what is wrong in it.
    """
    if not source.images.is_dir():
        raise FileNotFoundError(f"{source.images}: no such folder of images")
    instances = read_instance_truth(source.data)
    _check_pictures(tuple(instances.images.values()), source.images)
    panoptic = _read_panoptic(source) if source.panoptic else None
    all_names = tuple(instances.categories.values())
    of_text = {"all": all_names, "coco80": COCO_THING_NAMES}
    exhaustive = {
        image_id: of_text[said] if isinstance(said, str) else said
        for image_id, said in instances.exhaustive.items()
    }
    return Truth(source, instances, panoptic, exhaustive)


def print_notes(truth: Truth) -> None:
    """Print the accepted deviations from COCO's format."""
    for part in (truth.instances, truth.panoptic):
        for note in part.notes if part else ():
            print(note, file=sys.stderr)
    file_names = [image.file_name for image in truth.instances.images.values()]
    if backslashes := describe_backslashes(file_names, truth.source.images):
        print(backslashes, file=sys.stderr)


def _check_pictures(images: Collection[TrueImage], folder: Path) -> None:
    found = {image.file_name: find_file(folder, image.file_name) for image in images}
    if missing := [name for name, path in found.items() if path is None]:
        raise ValueError(describe_missing("images", missing, len(found), folder))
    for image in images:
        if path := found[image.file_name]:
            check_header(path, image.size)


def _read_panoptic(source: DataSet) -> PanopticTruth:
    assert source.panoptic is not None
    folder = source.panoptic_dir or source.panoptic.with_suffix("")
    truth = read_panoptic_truth(source.panoptic, folder)
    if missing := [path.name for path in truth.maps.values() if not has_content(path)]:
        raise ValueError(describe_missing("panoptic maps", missing, len(truth.maps), folder))
    return truth


def read_pictures(truth: Truth, classes: ClassMap) -> list[Picture]:
    """Return every picture of the data set, also those without objects.

    Raises ValueError when the masks of one would not fit into memory.
    """
    names = truth.instances.categories
    objects: dict[Id, list[tuple[int, Any]]] = {image_id: [] for image_id in truth.instances.images}
    crowds: dict[Id, list[Any]] = {image_id: [] for image_id in objects}
    for annotation in truth.instances.annotations:
        image_id, name = annotation["image_id"], names[annotation["category_id"]]
        label, mask = classes.thing_of(name), annotation["segmentation"]
        if classes.is_ignored(name) or (label and (annotation["iscrowd"] or mask is None)):
            crowds[image_id].append(outline_of(annotation["bbox"]) if mask is None else mask)
        elif label:
            objects[image_id].append((label, mask))
    exhaustive = {
        said: classes.exhaustive_things(said, names.values()) for said in set(truth.exhaustive.values())
    }
    pictures = []
    for image in truth.instances.images.values():
        labels, segmentations = zip(*objects[image.id], strict=True) if objects[image.id] else ((), ())
        _check_memory(image, len(labels) + len(crowds[image.id]), truth.source.data)
        panoptic_map, semantic_of = _semantic(truth.panoptic, image.id, classes)
        pictures.append(
            Picture(
                find_file(truth.source.images, image.file_name) or truth.source.images / image.file_name,
                image.size,
                labels,
                segmentations,
                tuple(crowds[image.id]),
                exhaustive[truth.exhaustive[image.id]],
                panoptic_map,
                semantic_of,
            )
        )
    return pictures


def _check_memory(image: TrueImage, objects: int, path: Path) -> None:
    height, width = image.size
    if objects > _MAX_OBJECTS or objects * height * width > _MAX_MASK_BYTES:
        raise ValueError(
            f"{path}: image {shown(image.id)} has {objects} objects on {width}x{height} pixels, too many to "
            "learn from at once; cut it into parts, or scale it down"
        )


def _semantic(
    truth: PanopticTruth | None, image_id: Id, classes: ClassMap
) -> tuple[Path | None, dict[int, int]]:
    if truth is None or image_id not in truth.maps:
        return None, {}
    return truth.maps[image_id], {
        segment.id: classes.stuff_of(truth.categories[segment.category_id])
        if segment.category_id in truth.categories and not segment.is_crowd
        else UNKNOWN
        for segment in truth.segments[image_id]
    }
