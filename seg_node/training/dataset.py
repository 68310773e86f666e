"""Data sets in COCO's formats as lists of pictures, each of which is opened when it is needed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seg_node.ground_truth import (
    InstanceTruth,
    PanopticTruth,
    read_instance_truth,
    read_panoptic_truth,
)
from seg_node.labels import COCO_THING_NAMES
from seg_node.training.classes import UNKNOWN, ClassMap


@dataclass(frozen=True)
class DataSet:
    """What the user names: annotations and images, perhaps panoptic maps.

    weight: share of the training's pictures, beside the other data sets'; None: as many as it has.
    """

    data: Path
    images: Path
    panoptic: Path | None = None
    panoptic_dir: Path | None = None
    weight: float | None = None


@dataclass(frozen=True)
class Truth:
    """A data set, read. exhaustive: by image id the categories whose objects are all drawn."""

    source: DataSet
    instances: InstanceTruth
    panoptic: PanopticTruth | None
    exhaustive: Mapping[int, tuple[str, ...]]


@dataclass(frozen=True)
class Picture:
    """One picture with what is known of it.

    size: (height, width). labels: class of each object, 1, 2, …; segmentations: its mask as in the file.
    crowds: masks of regions that teach nothing: many objects in one, or an ignored category.
    complete: see `ClassMap.complete_things`.
    panoptic_map: its PNG; semantic_of: value in a semantic map of each segment there.
    """

    path: Path
    size: tuple[int, int]
    labels: tuple[int, ...]
    segmentations: tuple[Any, ...]
    crowds: tuple[Any, ...]
    complete: tuple[bool, ...]
    panoptic_map: Path | None
    semantic_of: Mapping[int, int]


def read_truth(source: DataSet) -> Truth:
    """Raises FileNotFoundError; ValueError naming the file and what is wrong in it."""
    if not source.images.is_dir():
        raise FileNotFoundError(f"{source.images}: no such folder of images")
    instances, records = read_instance_truth(source.data), read_image_records(source.data)
    for annotation in instances.annotations:
        _check_mask(annotation, source.data)
    panoptic = None
    if source.panoptic:
        panoptic = read_panoptic_truth(
            source.panoptic, source.panoptic_dir or source.panoptic.with_suffix("")
        )
    names = tuple(instances.categories.values())
    exhaustive = {record["id"]: _exhaustive(record, names, source.data) for record in records}
    return Truth(source, instances, panoptic, exhaustive)


def read_image_records(path: Path) -> list[dict[str, Any]]:
    """The images as in the file, with what our own type leaves out."""
    return list(json.loads(path.read_text())["images"])


def _check_mask(annotation: Mapping[str, Any], path: Path) -> None:
    """Tools that draw boxes too write them with an empty segmentation, or with their corners."""
    mask = annotation["segmentation"]
    outlines = isinstance(mask, list) and mask and all(len(polygon) >= 6 for polygon in mask)
    if not outlines and not (isinstance(mask, dict) and "counts" in mask):
        raise ValueError(
            f"{path}: annotation {annotation.get('id')} of image {annotation['image_id']} has no mask: draw "
            "a polygon of at least three points, or remove the annotation"
        )


def _exhaustive(record: Mapping[str, Any], names: tuple[str, ...], path: Path) -> tuple[str, ...]:
    said = record.get("exhaustive_categories", "all")
    if said == "all":
        return names
    if said == "coco80":
        return COCO_THING_NAMES
    if isinstance(said, list):
        return tuple(map(str, said))
    raise ValueError(
        f"{path}: image {record['id']}: exhaustive_categories {said!r} must be a list of names, all or coco80"
    )


def read_pictures(truth: Truth, classes: ClassMap) -> list[Picture]:
    """Every picture of the data set, also those without an object.

    Raises ValueError when an annotation is of an image or category that is not listed.
    """
    names = truth.instances.categories
    objects: dict[int, list[tuple[int, Any]]] = {image_id: [] for image_id in truth.instances.images}
    crowds: dict[int, list[Any]] = {image_id: [] for image_id in objects}
    for annotation in truth.instances.annotations:
        image_id, category = annotation["image_id"], annotation["category_id"]
        if image_id not in objects or category not in names:
            raise ValueError(
                f"{truth.source.data}: annotation {annotation.get('id')} is of image {image_id} and category "
                f"{category}, which are not both listed"
            )
        label = classes.thing_of(names[category])
        if classes.is_ignored(names[category]) or (label and annotation.get("iscrowd")):
            crowds[image_id].append(annotation["segmentation"])
        elif label:
            objects[image_id].append((label, annotation["segmentation"]))
    pictures = []
    for image in truth.instances.images.values():
        labels, segmentations = zip(*objects[image.id], strict=True) if objects[image.id] else ((), ())
        complete = classes.complete_things(truth.exhaustive[image.id], names.values())
        panoptic_map, semantic_of = _semantic(truth.panoptic, image.id, classes)
        pictures.append(
            Picture(
                truth.source.images / image.file_name,
                image.size,
                labels,
                segmentations,
                tuple(crowds[image.id]),
                complete,
                panoptic_map,
                semantic_of,
            )
        )
    return pictures


def _semantic(
    truth: PanopticTruth | None, image_id: int, classes: ClassMap
) -> tuple[Path | None, dict[int, int]]:
    if truth is None or image_id not in truth.maps:
        return None, {}
    return truth.maps[image_id], {
        segment.id: UNKNOWN if segment.is_crowd else classes.stuff_of(truth.categories[segment.category_id])
        for segment in truth.segments[image_id]
    }
