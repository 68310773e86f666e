# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What the compared systems share: the cell of a table, its timing, and the steps behind a network."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seg_node.masks.crop import tight_crop
from seg_node.masks.encoding import encode_mask
from seg_node.types import Frame, MaskCrop

STAGES = ("prepare", "infer", "assemble", "encode")


@dataclass(frozen=True)
class Cell:
    """One row of the table. size: (height, width). weights, config: see `write_checkpoint`."""

    system: str
    family: str
    size: tuple[int, int]
    batch: int
    device: str
    precision: str
    weights: Path | None
    config: Path | None


@dataclass(frozen=True)
class Timing:
    """milliseconds: of each of `STAGES`, of the whole batch."""

    total_ms: float
    milliseconds: dict[str, float]


def torchvision_crops(canvas: Tensor, boxes_xyxy: NDArray[np.float32]) -> tuple[MaskCrop, ...]:
    """Its float (N, 1, H, W) probabilities → masks, each searched for in its box (N, 4) and a rim only."""
    masks: NDArray[np.bool_] = (canvas[:, 0] >= 0.5).cpu().numpy()
    rim = 3 + 0.05 * (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2])  # pasted masks reach beyond their boxes
    low = np.floor(boxes_xyxy[:, :2] - rim).clip(0).astype(int).tolist()
    high = np.ceil(boxes_xyxy[:, 2:] + rim).astype(int).tolist()
    return tuple(
        tight_crop(mask[top:bottom, left:right], left, top)
        for mask, (left, top), (right, bottom) in zip(masks, low, high, strict=True)
    )


def encode_all(masks: Sequence[Sequence[MaskCrop]], frames: Sequence[Frame]) -> list[NDArray[np.uint8]]:
    """mono8 bytes of every mask of every frame."""
    return [
        encode_mask(mask, "mono8", frame.image_size)
        for crops, frame in zip(masks, frames, strict=True)
        for mask in crops
    ]


def now_ms() -> float:
    return time.perf_counter() * 1e3
