# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A model whose answers are known in place of a network, and ground truth to score them with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seg_node.evaluation.coco import panoptic_png
from seg_node.masks.panoptic import fuse_panoptic
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, Segmentation, SegmentOptions

SIZE = (40, 64)
PERSON, CUP, DRAGON, GRASS, LAVA = 1, 47, 60, 149, 150
LABELS = LabelSet({PERSON: "person", CUP: "Cup", DRAGON: "dragon"}, {GRASS: "grass", LAVA: "lava"})
CATEGORIES = [
    {"id": 0, "name": "cup", "isthing": 1},
    {"id": 7, "name": "person", "isthing": 1},
    {"id": 8, "name": "unicorn", "isthing": 1},
    {"id": 20, "name": "grass", "isthing": 0},
    {"id": 21, "name": "sea", "isthing": 0},
]
PERSON_BOX, CUP_BOX, DRAGON_BOX, GRASS_ROWS = (8, 4, 20, 12), (40, 20, 5, 10), (50, 2, 10, 10), 30


class KnownEngine:
    """In place of the engine: a person (0.9), a dragon (0.8), a cup (0.6); grass, at its right lava."""

    device_name, precision = "cpu", "exact"

    def __init__(self, model: "KnownModel") -> None:
        self._model = model
        self.labels, self.default_options = model.labels, model.default_options

    def segment(self, frame: Frame, options: SegmentOptions) -> Segmentation:
        self._model.asked.append(options)
        found = [(PERSON, 0.9, PERSON_BOX), (DRAGON, 0.8, DRAGON_BOX), (CUP, 0.6, CUP_BOX)]
        found = [one for one in found if one[1] > options.score_threshold and frame.pixels.max() > 30]
        instances = Instances(
            boxes_xyxy=np.array([(x, y, x + w, y + h) for *_, (x, y, w, h) in found], np.float32).reshape(
                -1, 4
            ),
            scores=np.array([score for _, score, _ in found], np.float32),
            class_ids=np.array([class_id for class_id, *_ in found], np.int32),
            masks=tuple(MaskCrop(x, y, np.ones((h, w), bool)) for *_, (x, y, w, h) in found),
            ids=np.arange(1, len(found) + 1, dtype=np.uint32),
        )
        stuff = np.zeros(frame.image_size, np.int64)
        stuff[GRASS_ROWS:] = GRASS
        stuff[GRASS_ROWS:, 60:] = LAVA
        panoptic = None
        if options.panoptic:
            panoptic = fuse_panoptic(instances, stuff, frame.image_size, self._model.labels, options)
        return Segmentation(frame.image_size, instances, panoptic, {"prepare": 1.0, "infer": 20.0})


class KnownModel:
    labels = LABELS
    default_options = SegmentOptions(score_threshold=0.25, panoptic_stuff_min_area=0)

    def __init__(self) -> None:
        self.asked: list[SegmentOptions] = []


def annotation(
    image_id: int, category_id: int, box: tuple[int, ...], number: int = 0, **more: Any
) -> dict[str, Any]:
    x, y, w, h = box
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    entry = {"id": number, "image_id": image_id, "category_id": category_id, "bbox": list(box), "area": w * h}
    return {**entry, "segmentation": [polygon], "iscrowd": 0, **more}


def image_entry(image_id: int, size: tuple[int, int] = SIZE) -> dict[str, Any]:
    return {"id": image_id, "file_name": f"{image_id}.png", "height": size[0], "width": size[1]}


def write_images(folder: Path, count: int, size: tuple[int, int] = SIZE) -> None:
    folder.mkdir()
    for image_id in range(count):
        Image.fromarray(np.full((*size, 3), 100, np.uint8)).save(folder / f"{image_id}.png")


def write_coco(path: Path, annotations: list[dict[str, Any]], count: int) -> list[str]:
    """The set's JSON file and the arguments that name it."""
    images = [image_entry(image_id) for image_id in range(count)]
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    path.write_text(json.dumps(content))
    return ["--coco", str(path), "--images", str(path.parent / "images"), "--out", str(path.parent / "out")]


def write_panoptic(folder: Path, count: int = 1) -> list[str]:
    """Person, cup and grass as the known model sees them; sea where it sees a dragon; lava void."""
    true_map = np.zeros(SIZE, np.uint16)
    true_map[GRASS_ROWS:, :60] = 4
    entries = [(3, 7, PERSON_BOX), (500, 0, CUP_BOX), (6, 21, DRAGON_BOX)]
    for segment_id, _, (x, y, w, h) in entries:
        true_map[y : y + h, x : x + w] = segment_id
    segments = [
        {
            "id": segment_id,
            "category_id": category_id,
            "area": int((true_map == segment_id).sum()),
            "iscrowd": 0,
        }
        for segment_id, category_id in [*((e[0], e[1]) for e in entries), (4, 20)]
    ]
    (folder / "truth").mkdir()
    for image_id in range(count):
        Image.fromarray(panoptic_png(true_map)).save(folder / f"truth/map{image_id}.png")
    content = {
        "images": [image_entry(image_id) for image_id in range(count)],
        "annotations": [
            {"image_id": image_id, "file_name": f"map{image_id}.png", "segments_info": segments}
            for image_id in range(count)
        ],
        "categories": CATEGORIES,
    }
    (folder / "truth.json").write_text(json.dumps(content))
    return [
        "--panoptic",
        str(folder / "truth.json"),
        "--images",
        str(folder / "images"),
        "--out",
        str(folder / "out"),
    ]


def report_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "out/evaluation.json").read_text()))
