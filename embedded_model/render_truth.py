# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Exact ground truth of rendered pictures in COCO's formats: instances, and panoptic with PNGs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

THINGS = ("person", "bottle", "cup", "bowl", "plate", "can", "box", "book", "block", "food")
STUFF = ("table", "floor", "wall", "other")
OWN = ("frying pan", "basket")  # see objects.OWN
CATEGORY_IDS = {name: number for number, name in enumerate(THINGS + STUFF + OWN, start=1)}
# Smaller things are void: neither taught nor asked for.
MIN_PIXELS = 40
Json = dict[str, Any]


def categories(things_only: bool = False) -> list[Json]:
    return named_categories(THINGS if things_only else THINGS + STUFF)


def named_categories(names: tuple[str, ...]) -> list[Json]:
    return [{"id": CATEGORY_IDS[name], "name": name, "isthing": int(name not in STUFF)} for name in names]


def segment_map(
    geoms: NDArray[np.int32], bodies: NDArray[np.int32], labels: list[str]
) -> tuple[NDArray[np.int32], dict[int, str]]:
    """(H, W) segment ids, 0 void, and the class of each.

    geoms: (H, W) geom numbers, -1 where nothing is. bodies, labels: see `render_scene.Scene.labels`.
    A thing's segment id is 100 + its body number, so that it is the same in every view.
    """
    stuff_ids = {name: number for number, name in enumerate(STUFF, start=1)}
    by_geom = np.array(
        [100 + body if body else stuff_ids[label] for body, label in zip(bodies, labels, strict=True)]
        + [stuff_ids["other"]],
        np.int32,
    )
    ids = by_geom[geoms]
    names = {stuff_ids[name]: name for name in STUFF}
    names |= {100 + int(body): label for body, label in zip(bodies, labels, strict=True) if body}
    found, areas = np.unique(ids, return_counts=True)
    small = [i for i, area in zip(found, areas, strict=True) if i >= 100 and area < MIN_PIXELS]
    ids[np.isin(ids, small)] = 0
    return ids, {int(i): names[int(i)] for i in np.unique(ids) if i}


def instance_records(
    ids: NDArray[np.int32], names: dict[int, str], image_id: int, wanted: tuple[str, ...] = THINGS
) -> list[Json]:
    """COCO instance annotations of the classes `wanted`; annotation ids are unique over all images of fewer
    than 10000 bodies."""
    found = []
    for segment, name in names.items():
        if name not in wanted:
            continue
        rle, box, area = _measure(ids == segment)
        found.append(
            {
                "id": image_id * 10000 + segment,
                "image_id": image_id,
                "category_id": CATEGORY_IDS[name],
                "segmentation": rle,
                "bbox": box,
                "area": area,
                "iscrowd": 0,
            }
        )
    return found


def panoptic_record(ids: NDArray[np.int32], names: dict[int, str], image_id: int, file_name: str) -> Json:
    """COCO's panoptic annotation of one image."""
    segments = []
    for segment, name in names.items():
        _, box, area = _measure(ids == segment)
        segments.append(
            {"id": segment, "category_id": CATEGORY_IDS[name], "bbox": box, "area": area, "iscrowd": 0}
        )
    return {"image_id": image_id, "file_name": file_name, "segments_info": segments}


def write_segment_png(path: Path, ids: NDArray[np.int32]) -> None:
    """COCO's code: id = R + 256 G + 65536 B."""
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(rgb).save(path, optimize=True)


def write_json(path: Path, content: Json) -> None:
    """At once: a reader never sees half a file."""
    path.with_suffix(".tmp").write_text(json.dumps(content) + "\n")
    path.with_suffix(".tmp").replace(path)


def _measure(mask: NDArray[np.bool_]) -> tuple[Json, list[int], int]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    box = [int(v) for v in coco_mask.toBbox(rle)]
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}, box, int(mask.sum())
