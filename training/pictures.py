"""Pictures with masks for training: renders, and photographs that are only partly labelled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from network import CLASSES
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor

# How often a picture is drawn from each source. bottles_p is left out: its heaps are not wholly labelled.
WEIGHTS = {
    "renders": 0.55,
    "coco_train": 0.13,
    "coco_a": 0.01,
    "coco_b": 0.01,
    "coco_person": 0.09,
    "ccp": 0.04,
    "coco_street": 0.02,
    "cots": 0.05,
    "rmgc": 0.05,
    "plates": 0.03,
    "toyblocks": 0.02,
}
COCO = ("person", "bottle", "cup", "bowl", "book")
MIN_SIDE = 5  # pixels of the scaled picture; smaller objects are not taught


@dataclass(frozen=True)
class Picture:
    """path, its annotations (COCO), and the classes its annotators drew completely."""

    path: Path
    source: str
    annotations: list[dict[str, Any]]
    known: frozenset[str]


def read_pictures(renders: Path, photographs: Path) -> list[Picture]:
    found = list(_read(renders / "annotations.json", renders / "images", "renders"))
    found += _read(photographs / "coco_train.json", photographs / "coco_train", "coco_train")
    extra = photographs / "real_extra"
    return found + list(_read(extra / "annotations.json", extra / "images", ""))


def _read(file: Path, folder: Path, source: str) -> Iterator[Picture]:
    content = json.loads(file.read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in content["annotations"]:
        if names[annotation["category_id"]] in CLASSES:
            kept = {**annotation, "name": names[annotation["category_id"]]}
            by_image.setdefault(annotation["image_id"], []).append(kept)
    for image in content["images"]:
        if image.get("licence_class") == "nc" or image.get("source") == "bottles_p":
            continue
        annotations = by_image.get(image["id"], [])
        crowded = {a["name"] for a in annotations if a.get("iscrowd")}
        known = _known_classes(image, source) - crowded
        annotations = [a for a in annotations if a["name"] not in crowded and not a.get("iscrowd")]
        yield Picture(folder / image["file_name"], image.get("source", source), annotations, known)


def _known_classes(image: dict[str, Any], source: str) -> frozenset[str]:
    if source == "renders":
        return frozenset(CLASSES)
    complete = image.get("exhaustive_categories", "coco80")
    if complete == "coco80":
        return frozenset(COCO)
    if image["source"] == "ccp":
        return frozenset({"person"})
    return frozenset(complete) & frozenset(CLASSES)


def masks_of(annotations: list[dict[str, Any]], height: int, width: int) -> NDArray[np.uint8]:
    """(N, height, width), 0 and 1."""
    masks = np.zeros((len(annotations), height, width), np.uint8)
    for mask, annotation in zip(masks, annotations, strict=True):
        shape = annotation["segmentation"]
        if isinstance(shape, list):
            shape = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
        elif isinstance(shape["counts"], list):
            shape = coco_mask.frPyObjects(shape, height, width)
        mask[:] = coco_mask.decode(shape)
    return masks


class Sampler(torch.utils.data.IterableDataset):
    """An endless stream of (image float (3, H, W) in 0 … 1, target of torchvision, allowed classes)."""

    def __init__(self, pictures: list[Picture], short_side: int, long_side: int, seed: int) -> None:
        self.sides, self.seed = (short_side, long_side), seed
        self.by_source: dict[str, list[Picture]] = {}
        for picture in pictures:
            self.by_source.setdefault(picture.source, []).append(picture)

    def __iter__(self) -> Iterator[tuple[Tensor, dict[str, Tensor], Tensor]]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self.seed)
        sources = [source for source in WEIGHTS if source in self.by_source]
        chances = np.array([WEIGHTS[source] for source in sources])
        while True:
            source = self.by_source[sources[rng.choice(len(sources), p=chances / chances.sum())]]
            yield self.draw(source[rng.integers(len(source))], rng)

    def draw(self, picture: Picture, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        image = cv2.cvtColor(cv2.imread(str(picture.path)), cv2.COLOR_BGR2RGB)
        masks = masks_of(picture.annotations, *image.shape[:2])
        image, masks = zoom(image, masks, self.sides, rng)
        if rng.random() < 0.5:
            image, masks = image[:, ::-1], masks[:, :, ::-1]
        image = shift_colours(image, rng)
        boxes = [cv2.boundingRect(np.ascontiguousarray(mask)) for mask in masks]
        kept = [i for i, (_, _, w, h) in enumerate(boxes) if min(w, h) >= MIN_SIDE]
        xyxy = [(x, y, x + w, y + h) for x, y, w, h in (boxes[i] for i in kept)]
        labels = [CLASSES.index(picture.annotations[i]["name"]) + 1 for i in kept]
        allowed = torch.tensor([True, *(name in picture.known for name in CLASSES)])
        target = {
            "boxes": torch.tensor(xyxy, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.tensor(labels, dtype=torch.int64),
            "masks": torch.from_numpy(np.ascontiguousarray(masks[kept])),
        }
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
        return tensor, target, allowed


def zoom(
    image: NDArray[np.uint8], masks: NDArray[np.uint8], sides: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Scale at random around the trained size, and cut out a window where the picture becomes too large."""
    height, width = image.shape[:2]
    short, long = sides
    factor = min(short / min(height, width), long / max(height, width)) * float(
        np.exp(rng.uniform(-0.3, 0.45))
    )
    size = (max(64, round(width * factor)), max(64, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(image, size, interpolation=how)
    limit = (short, long) if height <= width else (long, short)
    rows, columns = min(limit[0], size[1]), min(limit[1], size[0])
    y, x = (int(rng.integers(0, n + 1)) for n in (size[1] - rows, size[0] - columns))
    window = (slice(y, y + rows), slice(x, x + columns))
    small = [cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)[window] for mask in masks]
    return image[window], np.array(small, np.uint8).reshape(-1, rows, columns)


def shift_colours(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Other brightness, contrast, colour balance and saturation; now and then noise or blur."""
    shifted = image.astype(np.float32) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    grey = shifted.mean(axis=2, keepdims=True)
    shifted = grey + (shifted - grey) * (0.0 if rng.random() < 0.03 else rng.uniform(0.5, 1.4))
    shifted = (shifted - 127) * rng.uniform(0.7, 1.3) + 127 + rng.uniform(-30, 30)
    if rng.random() < 0.25:
        shifted = cv2.GaussianBlur(shifted, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.35:
        shifted += rng.normal(0, rng.uniform(1, 9), shifted.shape)
    return np.clip(shifted, 0, 255).astype(np.uint8)
