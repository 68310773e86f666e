# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What the parity tests share: the fixtures of ../shared, how to run and to read them, and the gate."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from seg_node.inference.engine import Engine
from seg_node.models.model import SegmentationModel
from seg_node.types import Frame, Instances, MaskCrop, Segmentation

FIXTURES = Path(__file__).resolve().parents[3] / "shared/fixtures"
CPU = torch.device("cpu")
IMAGES = ("astronaut_512x383", "coffee_wide_600x240", "hopper_512x600")
needs_shared = pytest.mark.skipif(not FIXTURES.exists(), reason="../shared is absent")

_WEIGHTS = (".pth", ".pkl")
# "backbone.conv1.weight (64, 3, 7, 7) float32"
_KEY_LINE = re.compile(r"(\S+) \(([\d, ]*)\) (\w+)")


def fixture_files(family: str, seed: str = "seed0") -> tuple[Path, Path]:
    """The checkpoint of a fixture and its config."""
    folder = FIXTURES / family / seed
    (weights,) = (file for file in folder.iterdir() if file.suffix in _WEIGHTS)
    return weights, folder / "config.yaml"


def read_frame(image: str) -> Frame:
    return Frame(cv2.imread(str(FIXTURES / "images" / f"{image}.png")), "bgr")


def segment_fixture(model: SegmentationModel, image: str) -> Segmentation:
    """In the fixtures' conditions; another number of threads adds up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        return Engine(model, CPU).segment(read_frame(image), model.default_options)
    finally:
        torch.set_num_threads(before)


def read_outputs(family: str, image: str, seed: str = "seed0") -> dict[str, NDArray]:
    """The reference's answer, its masks unpacked to bool (n, H, W) under `masks`."""
    outputs = dict(np.load(FIXTURES / family / seed / f"{image}.npz"))
    height, width = outputs["image_hw"].tolist()
    bits = np.unpackbits(outputs.pop("masks_packed"), axis=1)[:, : height * width]
    return {**outputs, "masks": bits.reshape(-1, height, width).astype(np.bool_)}


def assert_agrees(
    ours: Instances, expected: dict[str, NDArray], boxes: NDArray | None, score_atol: float = 1e-5
) -> None:
    """The gate: the same objects in the same order, boxes to 1e-3 px, every mask's IoU 0.999.

    boxes: the reference's (n, 4), None where it has none.
    Scores are asked ten times closer than the gate's 1e-4: further off, a rule is missed.
    """
    np.testing.assert_array_equal(ours.class_ids, expected["classes"])
    np.testing.assert_allclose(ours.scores, expected["scores"], rtol=0, atol=score_atol)
    if boxes is not None:
        np.testing.assert_allclose(ours.boxes_xyxy, boxes, rtol=0, atol=1e-3)
    for mask, theirs in zip(ours.masks, expected["masks"], strict=True):
        assert iou(full(mask, theirs.shape), theirs) >= 0.999


def assert_recorded(
    family: str, image: str, name: str, value: Tensor, atol: float, seed: str = "seed0"
) -> None:
    """An intermediate value is the one that the fixture recorded under the name, whole or in samples."""
    recorded = np.load(FIXTURES / family / seed / f"{image}.debug.npz")
    array = value.numpy()
    assert array.shape == tuple(recorded[f"{name}/shape"]), name
    if f"{name}/full" in recorded:
        np.testing.assert_allclose(array, recorded[f"{name}/full"], rtol=0, atol=atol, err_msg=name)
    else:
        sample = array.reshape(-1)[recorded[f"{name}/idx"]]
        np.testing.assert_allclose(sample, recorded[f"{name}/val"], rtol=0, atol=atol, err_msg=name)


def full_size_tensors(listing: Path) -> dict[str, Tensor]:
    """Zeros of the names, shapes and types in a list of a checkpoint's keys; they need no memory."""
    lines = (line for line in listing.read_text().splitlines() if line and not line.startswith("#"))
    tensors = {}
    for line in lines:
        match = _KEY_LINE.fullmatch(line)
        assert match, f"{listing}: {line!r}"
        shape = [int(side) for side in match[2].split(",") if side.strip()]
        tensors[match[1]] = torch.zeros((), dtype=getattr(torch, match[3])).expand(shape)
    return tensors


def full(mask: MaskCrop, image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask as a whole image."""
    image = np.zeros(image_size, np.bool_)
    height, width = mask.pixels.shape
    image[mask.y_offset : mask.y_offset + height, mask.x_offset : mask.x_offset + width] = mask.pixels
    return image


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0
