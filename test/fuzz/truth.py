# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny data set in COCO's formats, and an answer to score against it."""

import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seg_node.types import Instances, LabelSet, MaskCrop, PanopticSegments, Roi, Segment, Segmentation

HEIGHT, WIDTH = 12, 20
LABELS = LabelSet(things={1: "cup", 2: "can"}, stuff={3: "table"})
CATEGORIES: list[dict[str, Any]] = [
    {"id": 1, "name": "cup", "isthing": 1},
    {"id": 2, "name": "can", "isthing": 1},
    {"id": 3, "name": "table", "isthing": 0},
]
IMAGES = [{"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH} for i in (1, 2)]
INSTANCES: dict[str, Any] = {
    "images": IMAGES,
    "categories": CATEGORIES,
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [2, 3, 6, 5],
            "area": 30,
            "iscrowd": 0,
            "segmentation": [[2, 3, 8, 3, 8, 8, 2, 8]],
        },
        {
            "id": 2,
            "image_id": 2,
            "category_id": 2,
            "bbox": [0, 0, 1, 12],
            "area": 12,
            "iscrowd": 1,
            "segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, 12, 228]},
        },
        {
            "id": 3,
            "image_id": 2,
            "category_id": 1,
            "bbox": [0, 0, 1, 12],
            "area": 12,
            "iscrowd": 0,
            "segmentation": {"size": [HEIGHT, WIDTH], "counts": "0<T7"},
        },
    ],
}
PANOPTIC: dict[str, Any] = {
    "images": IMAGES,
    "categories": CATEGORIES,
    "annotations": [
        {
            "image_id": i,
            "file_name": f"{i}.png",
            "segments_info": [
                {"id": 5, "category_id": 1, "area": 30, "bbox": [2, 3, 6, 5], "iscrowd": 0},
                {"id": 300, "category_id": 3, "area": 210, "bbox": [0, 0, 20, 12], "iscrowd": 0},
            ],
        }
        for i in (1, 2)
    ],
}


@lru_cache
def png_map() -> bytes:
    """The segments of PANOPTIC, id = R + 256 G."""
    ids = np.full((HEIGHT, WIDTH), 300)
    ids[3:8, 2:8] = 5
    return _png(np.stack([ids & 255, ids >> 8, np.zeros_like(ids)], axis=2).astype(np.uint8))


@lru_cache
def picture() -> bytes:
    return _png(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))


def _png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_data_set(folder: Path, text: str, maps: bytes) -> Path:
    """The images, a panoptic map of each, and `text` as truth.json, which is returned."""
    (folder / "maps").mkdir()
    for image in IMAGES:
        (folder / f"{image['id']}.png").write_bytes(picture())
        (folder / "maps" / f"{image['id']}.png").write_bytes(maps)
    path = folder / "truth.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def answer(image_size: tuple[int, int]) -> Segmentation:
    """One cup in the upper left corner, the rest a table, whatever the image's size."""
    height, width = image_size
    mask = MaskCrop(0, 0, np.ones((min(height, 5), min(width, 7)), bool))
    instances = Instances(
        boxes_xyxy=np.array([[0, 0, mask.roi.width, mask.roi.height]], np.float32),
        scores=np.array([0.9], np.float32),
        class_ids=np.array([1], np.int32),
        masks=(mask,),
        ids=np.array([1], np.uint32),
    )
    segment_map = np.full(image_size, 2, np.uint16)
    segment_map[: mask.roi.height, : mask.roi.width] = 1
    stuff = Segment(2, 3, False, 0.0, height * width - mask.area, Roi(0, 0, width, height), 0)
    thing = Segment(1, 1, True, 0.9, mask.area, mask.roi, 1)
    segments = (thing, stuff) if stuff.area else (thing,)
    return Segmentation(image_size, instances, PanopticSegments(segment_map, segments))


def check_nothing_beside(folder: Path, out: Path) -> None:
    """Only `out` may have been added to what `write_data_set` wrote."""
    known = {out.name, "maps", "truth.json", *(f"{image['id']}.png" for image in IMAGES)}
    beside = {path.name for path in folder.iterdir()} - known
    assert not beside, f"written outside the output folder: {sorted(beside)[:3]}"


def as_strict_json(path: Path) -> Any:
    """The file's content; AssertionError for one that other programs cannot read."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{path.name} has {name}, which is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)
