"""Ground truth of an image set in COCO's formats, and which of its categories a model knows.

Source of the formats: https://cocodataset.org/#format-data (object detection, panoptic segmentation).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seg_node.panoptic_quality import TrueSegment
from seg_node.sources import read_image
from seg_node.types import Frame


@dataclass(frozen=True)
class TrueImage:
    """One image of the set; size is (height, width) of the upright image."""

    id: int
    file_name: str
    size: tuple[int, int]


@dataclass(frozen=True)
class InstanceTruth:
    """Objects with masks.

    images: by id. categories: names by id.
    annotations: as in the file (image_id, category_id, bbox [x, y, width, height], segmentation, iscrowd).
    """

    images: Mapping[int, TrueImage]
    categories: Mapping[int, str]
    annotations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class PanopticTruth:
    """Panoptic maps.

    images: by id, those that have a map. categories: names by id. things: ids of those that are things.
    maps: PNG of each image by image id, see `read_segment_map`. segments: those of each map.
    listed_categories: the categories as in the file.
    """

    images: Mapping[int, TrueImage]
    categories: Mapping[int, str]
    things: frozenset[int]
    maps: Mapping[int, Path]
    segments: Mapping[int, tuple[TrueSegment, ...]]
    listed_categories: list[dict[str, Any]]


@dataclass(frozen=True)
class MatchedClasses:
    """Classes of a model and categories of a ground truth that have the same name.

    category_of: category id by the model's class id.
    scored, not_known_to_model: names in the ground truth. not_in_ground_truth: names in the model.
    """

    category_of: Mapping[int, int]
    scored: tuple[str, ...]
    not_known_to_model: tuple[str, ...]
    not_in_ground_truth: tuple[str, ...]


def read_instance_truth(path: Path) -> InstanceTruth:
    """Raises FileNotFoundError; ValueError naming the file and what is missing in it."""
    content = _read_json(path)
    annotations = content["annotations"]
    if any("segments_info" in annotation for annotation in annotations):
        raise ValueError(
            f"{path}: is a ground truth of panoptic maps (its annotations have 'segments_info'); "
            "it belongs to --panoptic"
        )
    for annotation in annotations:
        for key in ("image_id", "category_id", "bbox", "segmentation"):
            _check_has(annotation, key, f"{path}: annotation {annotation.get('id')}")
    return InstanceTruth(_images(content, path), _names(content, path), tuple(annotations))


def read_panoptic_truth(path: Path, folder: Path) -> PanopticTruth:
    """folder: of the PNG maps.

    Raises FileNotFoundError; ValueError naming the file and what is missing in it.
    """
    content = _read_json(path)
    if any("segmentation" in entry and "segments_info" not in entry for entry in content["annotations"]):
        raise ValueError(
            f"{path}: is a ground truth of instances (its annotations have 'segmentation'); "
            "it belongs to --coco, in seg_node train to --data"
        )
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of panoptic maps; name it with --panoptic-dir")
    images, maps, segments = _images(content, path), {}, {}
    for annotation in content["annotations"]:
        for key in ("segments_info", "image_id", "file_name"):
            _check_has(annotation, key, f"{path}: annotation of image {annotation.get('image_id')}")
        image_id = annotation["image_id"]
        if image_id not in images:
            raise ValueError(f"{path}: image {image_id} has an annotation, but is not among the images")
        maps[image_id] = folder / annotation["file_name"]
        segments[image_id] = tuple(
            _true_segment(info, f"{path}: segment {info.get('id')} of image {image_id}")
            for info in annotation["segments_info"]
        )
    return PanopticTruth(
        images={image_id: images[image_id] for image_id in maps},
        categories=_names(content, path),
        things=frozenset(category["id"] for category in content["categories"] if category.get("isthing")),
        maps=maps,
        segments=segments,
        listed_categories=content["categories"],
    )


def read_true_image(folder: Path, image: TrueImage) -> Frame:
    """Raises ValueError when the file is missing, cannot be decoded, or has another size than stated."""
    path = folder / image.file_name
    if not path.is_file():
        raise ValueError(f"{path}: no such image")
    frame = read_image(path)
    if frame.image_size != image.size:
        (height, width), (true_height, true_width) = frame.image_size, image.size
        raise ValueError(
            f"{path}: is {width}x{height} upright, but the ground truth says {true_width}x{true_height}"
        )
    return frame


def read_segment_map(path: Path) -> NDArray[np.int64]:
    """(H, W) segment ids of a panoptic PNG: R + 256 G + 65536 B, 0 void.

    Raises ValueError when it is missing or damaged.
    """
    try:
        with Image.open(path) as file:
            return np.array(file.convert("RGB"), np.int64) @ np.array([1, 256, 65536])
    except (OSError, SyntaxError) as error:  # Pillow's for a damaged PNG
        raise ValueError(f"{path}: cannot be read as a panoptic map ({error})") from error


def match_classes(classes: Mapping[int, str], categories: Mapping[int, str]) -> MatchedClasses:
    """Matches a model's classes with a ground truth's categories: same name, but for upper and lower case.

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
            f"{_some(classes.values())}; the ground truth: {_some(categories.values())}"
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


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of ground truth")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path}: not a ground truth in COCO's format: it has no list {key!r}")
    return dict(content)


def _images(content: Mapping[str, Any], path: Path) -> dict[int, TrueImage]:
    for image in content["images"]:
        for key in ("id", "file_name", "height", "width"):
            _check_has(image, key, f"{path}: image {image.get('id')}")
    return {
        image["id"]: TrueImage(image["id"], image["file_name"], (image["height"], image["width"]))
        for image in content["images"]
    }


def _names(content: Mapping[str, Any], path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for category in content["categories"]:
        for key in ("id", "name"):
            _check_has(category, key, f"{path}: category {category.get('id')}")
        if category["name"].lower() in map(str.lower, names.values()):
            raise ValueError(f"{path}: two categories are called {category['name']!r}")
        names[category["id"]] = category["name"]
    return names


def _true_segment(info: Mapping[str, Any], what: str) -> TrueSegment:
    for key in ("id", "category_id", "area"):
        _check_has(info, key, what)
    return TrueSegment(info["id"], info["category_id"], info["area"], bool(info.get("iscrowd")))


def _check_has(entry: Mapping[str, Any], key: str, what: str) -> None:
    if key not in entry:
        raise ValueError(f"{what} has no {key!r}")


def _some(names: Iterable[str]) -> str:
    first, *rest = list(names)[:6] or ["none"]
    return ", ".join([first, *rest[:4]]) + (", …" if len(rest) > 4 else "")
