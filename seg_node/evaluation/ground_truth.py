# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read ground truth in COCO's formats, and match its categories with a model's classes.

One reader for `seg_node evaluate` and `seg_node train`: a file that it accepts cannot stop them later.

Source of the formats: https://cocodataset.org/#format-data (object detection, panoptic segmentation).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from seg_node.evaluation.coco_annotations import note_crowds, read_annotations
from seg_node.evaluation.coco_fields import (
    Id,
    is_listed,
    one_line,
    read_file_name,
    read_flag,
    read_id,
    shown,
    value_of,
)
from seg_node.evaluation.coco_file import (
    Entries,
    Notes,
    check_names,
    errors_about,
    label_of,
    read_categories,
    read_coco,
    read_images,
    without_groups,
)
from seg_node.evaluation.coco_segments import read_segments
from seg_node.evaluation.panoptic_quality import TrueSegment
from seg_node.evaluation.true_pictures import (
    TrueImage,
    describe_missing,
    find_file,
    has_content,
    has_one_channel,
    read_segment_map,
    read_true_image,
)
from seg_node.untrusted.printable import listed

__all__ = [
    "InstanceTruth",
    "MatchedClasses",
    "PanopticTruth",
    "TrueImage",
    "match_classes",
    "read_instance_truth",
    "read_panoptic_truth",
    "read_segment_map",
    "read_true_image",
]

_ONE_CHANNEL = (
    "panoptic maps with one channel, grey or a palette, in place of colours are read by their values, if "
    "those are the ids of their segments"
)


@dataclass(frozen=True)
class InstanceTruth:
    """Objects with masks.

    images: by id. categories: names by id.
    annotations: see `read_annotations`.
    exhaustive: by image id the names of the categories whose every object is drawn, "all" for the file's,
    or "coco80".
    notes: a line for each kind of deviation from the format, see `Notes`.
    """

    images: Mapping[Id, TrueImage]
    categories: Mapping[Id, str]
    annotations: tuple[Mapping[str, Any], ...]
    exhaustive: Mapping[Id, str | tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PanopticTruth:
    """Panoptic maps.

    images: by id, those that have a map. categories: names by id. things: ids of those that are things.
    maps: PNG of each image by image id, see `read_segment_map`. segments: those of each map.
    listed_categories: the categories as in the file. notes: as in `InstanceTruth`.
    joins_stuff: whether the regions of one stuff category in an image are one segment.
    """

    images: Mapping[Id, TrueImage]
    categories: Mapping[Id, str]
    things: frozenset[Id]
    maps: Mapping[Id, Path]
    segments: Mapping[Id, tuple[TrueSegment, ...]]
    listed_categories: list[dict[str, Any]]
    notes: tuple[str, ...] = ()
    joins_stuff: bool = False


@dataclass(frozen=True)
class MatchedClasses:
    """Classes of a model and categories of a ground truth, matched by name.

    category_of: category id by the model's class id.
    scored, not_known_to_model: names in the ground truth. not_in_ground_truth: names in the model.
    """

    category_of: Mapping[int, Id]
    scored: tuple[str, ...]
    not_known_to_model: tuple[str, ...]
    not_in_ground_truth: tuple[str, ...]


def read_instance_truth(path: Path, *, of_stream: bool = False) -> InstanceTruth:
    """Read objects with masks.

    of_stream: its images are frames of a stream, known by their ids; they need no file names.
    Raises FileNotFoundError; ValueError naming the file, the entry, what is wrong with it and the cure.
    """
    notes = Notes(path)
    content = read_coco(path, notes)
    if any("segments_info" in annotation for annotation in content["annotations"]):
        raise ValueError(
            f"{path}: is a ground truth of panoptic maps (its annotations have 'segments_info'); "
            "it belongs to --panoptic"
        )
    images = read_images(content["images"], path, notes, of_stream=of_stream)
    names = read_categories(content["categories"], path, notes)
    annotations = read_annotations(content["annotations"], images, names, path, notes)
    used = {annotation["category_id"] for annotation in annotations}
    names = without_groups(names, content["categories"], used, notes)
    check_names(names, path)
    if not images:
        raise ValueError(f"{path}: lists no image")
    note_crowds(annotations, names, notes)
    exhaustive = {read_id(entry, "id"): _exhaustive(entry, path) for entry in content["images"]}
    return InstanceTruth(images, names, annotations, exhaustive, notes.lines())


def read_panoptic_truth(path: Path, folder: Path) -> PanopticTruth:
    """Read panoptic maps and the lists of their segments. folder: that of the PNG maps.

    Raises FileNotFoundError; ValueError naming the file, the entry, what is wrong with it and the cure.
    """
    notes = Notes(path)
    content = read_coco(path, notes)
    if any("segmentation" in entry and "segments_info" not in entry for entry in content["annotations"]):
        raise ValueError(
            f"{path}: is a ground truth of instances (its annotations have 'segmentation'); "
            "it belongs to --coco, in seg_node train to --data"
        )
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of panoptic maps; name it with --panoptic-dir")
    images = read_images(content["images"], path, notes)
    names = read_categories(content["categories"], path, notes)
    check_names(names, path)
    maps, segments = _maps(content["annotations"], images, names, path, folder)
    _check_maps(maps, folder, notes)
    every = [
        {"category_id": s.category_id, "iscrowd": s.is_crowd} for each in segments.values() for s in each
    ]
    note_crowds(every, names, notes, "segments")
    return PanopticTruth(
        images={image_id: images[image_id] for image_id in maps},
        categories=names,
        things=_things(content["categories"], path, notes),
        maps=maps,
        segments=segments,
        listed_categories=content["categories"],
        notes=notes.lines(),
    )


def match_classes(classes: Mapping[int, str], categories: Mapping[Id, str]) -> MatchedClasses:
    """Match a model's classes with a ground truth's categories by name, ignoring case.

    Raises ValueError when they have no name in common.
    """
    category_ids = {name.lower(): category_id for category_id, name in categories.items()}
    category_of = {
        class_id: category_ids[name.lower()]
        for class_id, name in classes.items()
        if name.lower() in category_ids
    }
    if not category_of:
        raise ValueError(
            f"the model and the ground truth have no class name in common; the model: "
            f"{listed(classes.values(), 5)}; the ground truth: {listed(categories.values(), 5)}"
        )
    matched = set(category_of.values())
    return MatchedClasses(
        category_of,
        scored=tuple(name for category_id, name in categories.items() if category_id in matched),
        not_known_to_model=tuple(
            name for category_id, name in categories.items() if category_id not in matched
        ),
        not_in_ground_truth=tuple(name for class_id, name in classes.items() if class_id not in category_of),
    )


def _maps(
    entries: Entries, images: Mapping[Id, TrueImage], names: Mapping[Id, str], path: Path, folder: Path
) -> tuple[dict[Id, Path], dict[Id, tuple[TrueSegment, ...]]]:
    """Return the PNG and the segments of each image."""
    maps: dict[Id, Path] = {}
    segments: dict[Id, tuple[TrueSegment, ...]] = {}
    for index, entry in enumerate(entries):
        with errors_about(path, partial(_map_label, entry, index)):
            infos, image_id = value_of(entry, "segments_info"), read_id(entry, "image_id")
            file_name = read_file_name(entry, "file_name")
            if image_id in maps:
                raise ValueError("is the second of its image; give each image one map")
            is_listed("image", image_id, images)
        if image_id not in images:
            raise ValueError(
                f"{path}: image {shown(image_id)} has an annotation, but is not among the images"
            )
        maps[image_id] = find_file(folder, file_name) or folder / file_name
        segments[image_id] = read_segments(infos, image_id, names, path)
    return maps, segments


def _map_label(entry: Mapping[str, Any], index: int) -> str:
    if "image_id" in entry:
        return f"annotation of image {shown(entry['image_id'])}"
    return f"annotation at place {index} of its list"


def _check_maps(maps: Mapping[Id, Path], folder: Path, notes: Notes) -> None:
    """Note maps with one channel. Raises ValueError when no map exists."""
    there = {image_id: file for image_id, file in maps.items() if has_content(file)}
    if maps and not there:
        names = [file.name for file in maps.values()]
        raise ValueError(describe_missing("panoptic maps", names, len(names), folder))
    for image_id, file in there.items():
        if has_one_channel(file):
            notes.add(_ONE_CHANNEL, f"{one_line(file.name, 80)} of image {shown(image_id)}")


def _things(entries: Entries, path: Path, notes: Notes) -> frozenset[Id]:
    things = set()
    for index, entry in enumerate(entries):
        label = partial(label_of, "category", entry, index)
        with errors_about(path, label):
            if read_flag(entry, "isthing"):
                things.add(read_id(entry, "id"))
        if entry.get("isthing") is None:
            notes.add("categories without isthing are read as stuff", label())
    return frozenset(things)


def _exhaustive(entry: Mapping[str, Any], path: Path) -> str | tuple[str, ...]:
    said = entry.get("exhaustive_categories", "all")
    if said in ("all", "coco80"):
        return str(said)
    if isinstance(said, list):
        return tuple(map(str, said))
    raise ValueError(
        f"{path}: image {shown(entry['id'])}: exhaustive_categories {shown(said)} must be a list of names, "
        "all or coco80"
    )
