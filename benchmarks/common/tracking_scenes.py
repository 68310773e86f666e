# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Sequences of instances whose true identities are known, all from the demo's rendered stream."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from seg_node.inference.engine import Engine, choose_device
from seg_node.masks.crop import tight_crop
from seg_node.models.load import load_model
from seg_node.sources.source import read_bag
from seg_node.types import Instances, MaskCrop

SIZE = (480, 640)
OBJECTS_OF_A_FRAME = (
    10000  # embedded_model/render_truth.py: an annotation's id is this times the frame + the object
)
BAR_WIDTH, BAR_FRAMES, LEAST_AREA = 120, 30, 40


@dataclass(frozen=True)
class Thing:
    """One object of one frame as it truly is; id: the same in all frames."""

    id: int
    class_id: int
    mask: MaskCrop


@dataclass(frozen=True)
class Scene:
    """What is there and what was found of it, frame by frame."""

    name: str
    stamps_ns: list[int]
    truth: list[list[Thing]]
    found: list[Instances]

    def every(self, step: int) -> "Scene":
        """As if the node had only taken every step-th image."""
        name = f"{self.name}, 1 of {step} frames"
        return Scene(name, self.stamps_ns[::step], self.truth[::step], self.found[::step])


def read_truth(demo: Path) -> tuple[list[int], list[list[Thing]]]:
    """Stamp and things of every frame. Raises FileNotFoundError."""
    poses = json.loads((demo / "truth/poses.json").read_text())
    stamps_ns = [frame["stamp_ns"] for frame in poses["frames"]]
    truth: list[list[Thing]] = [[] for _ in stamps_ns]
    for annotation in json.loads((demo / "truth/annotations.json").read_text())["annotations"]:
        mask = tight_crop(coco_mask.decode(annotation["segmentation"]).astype(np.bool_))
        thing = Thing(annotation["id"] % OBJECTS_OF_A_FRAME, annotation["category_id"], mask)
        truth[annotation["image_id"]].append(thing)
    return stamps_ns, truth


def perturbed(
    stamps_ns: list[int], truth: list[list[Thing]], dropped: float, wrong_class: float, seed: int
) -> Scene:
    """The true masks as a detector might give them.

    dropped, wrong_class: shares of the sightings. The others are eroded or dilated and shifted by up to 4 %
    of their size, in random order.
    """
    rng = np.random.default_rng(seed)
    classes = sorted({thing.class_id for things in truth for thing in things})
    found = []
    for things in truth:
        seen = [_jittered(thing, rng) for thing in things if rng.random() >= dropped]
        seen = [
            replace(thing, class_id=int(rng.choice(classes))) if rng.random() < wrong_class else thing
            for thing in seen
        ]
        found.append(_instances([seen[i] for i in rng.permutation(len(seen))]))
    return Scene(f"true masks, {dropped:.0%} dropped, noise", stamps_ns, truth, found)


def behind_a_bar(stamps_ns: list[int], truth: list[list[Thing]]) -> Scene:
    """The true masks while a bar as high as the image passes in front of them, again and again."""
    visible = []
    for number, things in enumerate(truth):
        part = number % BAR_FRAMES / BAR_FRAMES
        left = int(part * (SIZE[1] + BAR_WIDTH)) - BAR_WIDTH
        rest = []
        for thing in things:
            image = whole(thing.mask)
            image[:, max(left, 0) : left + BAR_WIDTH] = False
            if np.count_nonzero(image) >= LEAST_AREA:
                rest.append(replace(thing, mask=tight_crop(image)))
        visible.append(rest)
    return Scene("true masks behind a passing bar", stamps_ns, visible, [_instances(v) for v in visible])


def predicted(demo: Path, truth: list[list[Thing]], score_threshold: float) -> Scene:
    """What the embedded model finds in the stream's images."""
    model = load_model("embedded")
    engine = Engine(model, choose_device("auto"))
    options = replace(model.default_options, score_threshold=score_threshold, panoptic=False)
    stamps_ns, found = [], []
    for _, frame in read_bag(demo):
        stamps_ns.append(frame.stamp_ns)
        found.append(engine.segment(frame, options).instances)
    return Scene("embedded model", stamps_ns, truth, found)


def whole(mask: MaskCrop) -> NDArray[np.bool_]:
    """bool SIZE."""
    image = np.zeros(SIZE, np.bool_)
    image[mask.roi.slices] = mask.pixels
    return image


def _jittered(thing: Thing, rng: np.random.Generator) -> Thing:
    reach = max(1, round(0.04 * thing.mask.area**0.5))
    kernel = np.ones((2 * int(rng.integers(0, reach + 1)) + 1,) * 2)
    change = cv2.erode if rng.random() < 0.5 else cv2.dilate
    image = change(whole(thing.mask).view(np.uint8), kernel).astype(np.bool_)
    crop = tight_crop(image if image.any() else whole(thing.mask))
    x, y = rng.integers(-reach, reach + 1, 2).tolist()
    height, width = crop.pixels.shape
    left = int(np.clip(crop.x_offset + x, 0, SIZE[1] - width))
    top = int(np.clip(crop.y_offset + y, 0, SIZE[0] - height))
    return replace(thing, mask=MaskCrop(left, top, crop.pixels))


def _instances(things: list[Thing]) -> Instances:
    rois = [thing.mask.roi for thing in things]
    edges = [(r.x_offset, r.y_offset, r.x_offset + r.width, r.y_offset + r.height) for r in rois]
    return Instances(
        np.array(edges, np.float32).reshape(-1, 4),
        np.ones(len(things), np.float32),
        np.array([thing.class_id for thing in things], np.int32),
        tuple(thing.mask for thing in things),
        np.arange(1, len(things) + 1, dtype=np.uint32),
    )
