# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded model loads offline, agrees with torchvision, and detects the demo's objects."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from safetensors import safe_open
from torchvision_light import load_with_torchvision

from seg_node.inference.engine import Engine
from seg_node.models.load import EMBEDDED_WEIGHTS, load_model
from seg_node.models.rcnn.model import RCNNModel
from seg_node.sources.source import read_bag
from seg_node.types import Frame, MaskCrop, Segmentation

ROOT = Path(__file__).resolve().parents[2]
FRAMES = (0, 50, 110)


@pytest.fixture(scope="module")
def model() -> RCNNModel:
    loaded = load_model("auto")
    assert isinstance(loaded, RCNNModel)
    return loaded


@pytest.fixture(scope="module")
def frames() -> dict[int, np.ndarray]:
    bag = read_bag(ROOT / "demo/tabletop")
    return {i: frame.pixels for i, (_, frame) in enumerate(bag) if i in FRAMES}


@pytest.fixture(scope="module")
def answers(model: RCNNModel, frames: dict[int, np.ndarray]) -> dict[int, Segmentation]:
    engine = Engine(model, torch.device("cpu"))
    return {i: engine.segment(Frame(frames[i], "bgr"), model.default_options) for i in FRAMES}


def test_the_file_is_small_and_names_its_classes(model: RCNNModel) -> None:
    assert EMBEDDED_WEIGHTS.stat().st_size < 15e6
    with safe_open(EMBEDDED_WEIGHTS, framework="pt") as file:
        names = json.loads(file.metadata()["config"])["class_names"]
    assert list(model.labels.things.values()) == names
    assert names[0] == "person"


def test_torchvision_computes_the_same(model: RCNNModel, frames: dict[int, np.ndarray]) -> None:
    image = torch.from_numpy(frames[50][:, :, ::-1].copy()).permute(2, 0, 1) / 255
    with torch.inference_mode():
        (expected,) = load_with_torchvision(EMBEDDED_WEIGHTS)([image])
    options = replace(model.default_options, duplicate_iou=1.0)  # which torchvision does not have
    found = Engine(model, torch.device("cpu")).segment(Frame(frames[50], "bgr"), options).instances
    assert len(found) == len(expected["scores"]) > 5
    np.testing.assert_allclose(found.boxes_xyxy, expected["boxes"].numpy(), atol=0.01)
    np.testing.assert_allclose(found.scores, expected["scores"].numpy(), atol=1e-4)
    np.testing.assert_array_equal(found.class_ids, expected["labels"].numpy())


@pytest.mark.parametrize("number", FRAMES)
def test_most_objects_of_the_demo_are_found_with_their_class_and_shape(
    number: int, model: RCNNModel, answers: dict[int, Segmentation]
) -> None:
    truth = json.loads((ROOT / "demo/tabletop/truth/annotations.json").read_text())
    names = {category["id"]: category["name"] for category in truth["categories"]}
    known = set(model.labels.things.values())
    objects = [
        annotation
        for annotation in truth["annotations"]
        if annotation["image_id"] == number and names[annotation["category_id"]] in known
    ]
    found = answers[number].instances
    hits = 0
    for annotation in objects:
        mask = coco_mask.decode(annotation["segmentation"]).astype(bool)
        hits += any(
            found.scores[i] >= 0.5
            and model.labels.things[int(found.class_ids[i])] == names[annotation["category_id"]]
            and overlap(whole(found.masks[i]), mask) > 0.6
            for i in range(len(found))
        )
    assert len(objects) >= 10
    assert hits >= 0.6 * len(objects)


def whole(crop: MaskCrop) -> np.ndarray:
    mask = np.zeros((480, 640), bool)
    mask[crop.roi.y_offset :, crop.roi.x_offset :][: crop.roi.height, : crop.roi.width] = crop.pixels
    return mask


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())
