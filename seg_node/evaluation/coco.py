# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentations as COCO files: results of instances, and panoptic annotations with their PNG maps.

Source of the formats: https://cocodataset.org/#format-results (instance and panoptic segmentation).
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_node.evaluation.coco_fields import Id
from seg_node.masks.encoding import rle_counts
from seg_node.types import Instances, LabelSet, PanopticSegments

# 000000000139.jpg, and COCO_val2014_000000000139.jpg in the older releases.
_NUMBERED = re.compile(r"(?:COCO_\w+_)?(\d+)")
# an id that can be part of a file name without leading to another folder
_PLAIN = re.compile(r"[\w-][\w.-]{0,99}", re.ASCII)


def image_ids(names: Sequence[str]) -> list[int]:
    """Return COCO's image_id of each file: the number in its name, if any; 1, 2, 3 … for the others.

    Ids are unique: of two names with the same number, the first keeps it.
    """
    numbers: dict[int, int] = {}
    for position, name in enumerate(names):
        match = _NUMBERED.fullmatch(PurePath(name).stem)
        if match and int(match[1]) not in numbers:
            numbers[int(match[1])] = position
    ids = {position: number for number, position in numbers.items()}
    free: Iterator[int] = (
        number for number in range(1, len(names) + len(numbers) + 1) if number not in numbers
    )
    return [ids[position] if position in ids else next(free) for position in range(len(names))]


def instance_results(
    instances: Instances, image_size: tuple[int, int], file_name: str, image_id: Id
) -> list[Any]:
    """Return one COCO result per instance, best first.

    bbox: [x, y, width, height], float pixels. segmentation: compressed run lengths at image_size, (height,
    width). category_id: the class id of the model's labels, as in the messages.
    """
    results = []
    for box, score, class_id, mask in zip(
        instances.boxes_xyxy.astype(np.float64),
        instances.scores,
        instances.class_ids,
        instances.masks,
        strict=True,
    ):
        x_min, y_min, x_max, y_max = box.tolist()
        results.append(
            {
                "image_id": image_id,
                "file_name": file_name,
                "category_id": int(class_id),
                "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
                "score": float(score),
                "segmentation": {
                    "size": list(image_size),
                    "counts": rle_counts(mask, image_size).decode("ascii"),
                },
            }
        )
    return results


def panoptic_annotation(panoptic: PanopticSegments, file_name: str, image_id: Id) -> dict[str, Any]:
    """Return COCO's panoptic annotation of one image, with boxes as [x, y, width, height].

    file_name: of the PNG map, see `panoptic_png`.
    """
    return {
        "image_id": image_id,
        "file_name": file_name,
        "segments_info": [
            {
                "id": segment.id,
                "category_id": segment.class_id,
                "isthing": int(segment.is_thing),
                "bbox": [segment.roi.x_offset, segment.roi.y_offset, segment.roi.width, segment.roi.height],
                "area": segment.area,
                "iscrowd": 0,
            }
            for segment in panoptic.segments
        ],
    }


def map_name(image_id: Id) -> str:
    """Return the file name of an image's panoptic map: 12 digits, as in COCO, or the text of its id.

    A text that could lead out of the folder is replaced by its hash.
    """
    text = f"{image_id:012}" if isinstance(image_id, int) else image_id
    if not _PLAIN.fullmatch(text):
        text = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text}.png"


def panoptic_png(segment_map: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Encode (H, W) segment ids as (H, W, 3) colours red, green, blue: id = R + 256 G + 65536 B."""
    colours = np.empty((*segment_map.shape, 3), np.uint8)
    for channel in range(3):  # one by one: together they would take a GB for a map of 64 megapixels
        colours[..., channel] = segment_map >> 8 * channel & 255
    return colours


def categories(labels: LabelSet) -> list[dict[str, Any]]:
    """Return COCO's panoptic list of categories, things first."""
    return [
        {"id": class_id, "name": name, "isthing": isthing}
        for isthing, names in ((1, labels.things), (0, labels.stuff))
        for class_id, name in names.items()
    ]
