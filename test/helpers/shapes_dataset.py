# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A made-up data set of coloured squares and discs before a wall and a floor, in COCO's formats."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from seg_node.evaluation.coco import panoptic_png

SIZE = 96, 128
THINGS = {1: "square", 2: "disc"}
STUFF = {11: "wall", 12: "floor"}
COLOURS = {1: (60, 220, 40), 2: (30, 30, 220)}


@dataclass(frozen=True)
class Shapes:
    data: Path
    images: Path
    panoptic: Path
    panoptic_dir: Path


def write_shapes(folder: Path, count: int, seed: int = 0, most: int = 3) -> Shapes:
    """count: of pictures. most: objects in one."""
    place = Shapes(folder / "data.json", folder / "images", folder / "panoptic.json", folder / "panoptic")
    place.images.mkdir(parents=True)
    place.panoptic_dir.mkdir()
    rng = np.random.default_rng(seed)
    images, annotations, maps = [], [], []
    for image_id in range(1, count + 1):
        picture, segment_map, objects = _draw(rng, int(rng.integers(1, most + 1)))
        cv2.imwrite(str(place.images / f"{image_id}.png"), picture)
        Image.fromarray(panoptic_png(segment_map)).save(place.panoptic_dir / f"{image_id}.png")
        size = {"height": SIZE[0], "width": SIZE[1]}
        images.append({"id": image_id, "file_name": f"{image_id}.png", **size})
        segments = [(1, 11), (2, 12), *((number, category) for number, category, _ in objects)]
        for _, category, mask in objects:
            annotations.append(_annotation(len(annotations) + 1, image_id, category, mask))
        info = [
            {"id": n, "category_id": c, "area": int((segment_map == n).sum()), "iscrowd": 0}
            for n, c in segments
        ]
        maps.append({"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": info})
    things = [{"id": i, "name": name, "isthing": 1} for i, name in THINGS.items()]
    stuff = [{"id": i, "name": name, "isthing": 0} for i, name in STUFF.items()]
    _write(place.data, images, annotations, things)
    _write(place.panoptic, images, maps, things + stuff)
    return place


def _draw(rng: np.random.Generator, count: int) -> tuple[Any, Any, list[tuple[int, int, Any]]]:
    height, width = SIZE
    picture = np.full((height, width, 3), 60, np.uint8)
    picture[height // 2 :] = 40, 90, 120
    segment_map = np.ones(SIZE, np.uint16)
    segment_map[height // 2 :] = 2
    objects: list[tuple[int, int, Any]] = []
    while len(objects) < count:
        r, category = int(rng.integers(11, 19)), int(rng.integers(1, 3))
        x, y = int(rng.integers(r, width - r)), int(rng.integers(r, height - r))
        mask = np.zeros(SIZE, np.uint8)
        if category == 1:
            cv2.rectangle(mask, (x - r, y - r), (x + r - 1, y + r - 1), 1, -1)
        else:
            cv2.circle(mask, (x, y), r, 1, -1)
        if (segment_map[mask > 0] > 2).any():
            continue
        number = len(objects) + 3
        picture[mask > 0], segment_map[mask > 0] = COLOURS[category], number
        objects.append((number, category, mask))
    noise = rng.normal(0, 6, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), segment_map, objects


def _annotation(number: int, image_id: int, category: int, mask: Any) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(np.asfortranarray(mask))
    rle["counts"] = rle["counts"].decode()
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "segmentation": rle,
        "bbox": list(cv2.boundingRect(mask)),
        "area": int(mask.sum()),
        "iscrowd": 0,
    }


def _write(path: Path, images: Any, annotations: Any, categories: Any) -> None:
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
