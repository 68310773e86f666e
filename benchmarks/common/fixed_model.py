# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A Mask R-CNN whose network answers at once, always the same: what is left is seg_node's own work."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seg_node.labels import COCO_THINGS
from seg_node.models.rcnn.model import RCNNModel
from seg_node.models.rcnn.network import RawPrediction
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.models.rcnn.torchvision_config import TORCHVISION_OPTIONS
from seg_node.preprocess.prepare import InputSpec, ModelInput
from seg_node.types import SegmentOptions

MASK_GRID = 28
# From 294 photographs of COCO train2017: where 15 to 25 objects are annotated, the areas of their boxes sum
# up to 30 % of the image (median). Logarithms of side (with 12 objects and more) and aspect ratio deviate by
# 0.9 and 0.75; masks fill 60 % of their boxes.
AREA_OF_20 = 0.30
LOG_SIDE_DEVIATION, LOG_ASPECT_DEVIATION = 0.9, 0.75
LEAST_SIDE, GREATEST_SIDE = 0.01, 0.9  # of the image's


class FixedNetwork(nn.Module):
    """Stands where the network stands; gives the same objects for every image, whatever it shows."""

    boxes: Tensor
    scores: Tensor
    class_ids: Tensor
    mask_probs: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.settings = RCNNSettings()
        known = torch.tensor(sorted(COCO_THINGS.things))
        self.register_buffer("boxes", random_boxes(count))
        self.register_buffer("mask_probs", random_masks(count))
        self.register_buffer("class_ids", known[torch.arange(count) % len(known)])
        self.register_buffer("scores", torch.linspace(0.99, 0.6, count))

    def forward(self, pixels: Tensor, panoptic: bool) -> None:
        """There are no maps: the objects are known."""

    def select(self, maps: None, batch: ModelInput, options: SegmentOptions) -> list[RawPrediction]:
        return [
            RawPrediction(
                self.boxes * self.boxes.new_tensor([width, height, width, height]),
                self.scores,
                self.class_ids,
                self.mask_probs,
                (height, width),
            )
            for height, width in batch.sizes
        ]


def fixed_model(count: int, input_spec: InputSpec) -> RCNNModel:
    """The product's own model class around `count` fixed objects."""
    return RCNNModel(FixedNetwork(count), COCO_THINGS, input_spec, TORCHVISION_OPTIONS)


def random_boxes(count: int) -> Tensor:
    """float (N, 4), x_min, y_min, x_max, y_max as parts of the image; a fixed seed."""
    rng = np.random.default_rng(1)
    side = rng.lognormal(0, LOG_SIDE_DEVIATION, count)
    root_aspect = rng.lognormal(0, LOG_ASPECT_DEVIATION / 2, count)
    sides = np.stack([side * root_aspect, side / root_aspect], axis=1)
    for _ in range(20 if count else 0):  # a bound on the sides changes the sum, so approach it in steps
        sides *= np.sqrt(AREA_OF_20 / 20 * count / sides.prod(axis=1).sum())
        sides = sides.clip(LEAST_SIDE, GREATEST_SIDE)
    corner = rng.random((count, 2)) * (1 - sides)
    return torch.from_numpy(np.concatenate([corner, corner + sides], axis=1)).float()


def random_masks(count: int) -> Tensor:
    """float (N, 28, 28): lumpy discs with a soft edge, above 0.5 on about 60 % of the grid; fixed seed."""
    rng = np.random.default_rng(2)
    place = (np.arange(MASK_GRID) + 0.5) / MASK_GRID * 2 - 1
    y, x = np.meshgrid(place, place, indexing="ij")
    angle = np.arctan2(y, x)
    outline: NDArray[np.float64] = np.full((count, MASK_GRID, MASK_GRID), 0.87)
    for lobes in (2, 3, 4):
        phase, height = rng.random((2, count, 1, 1))
        outline += 0.15 * height * np.cos(lobes * angle + 2 * np.pi * phase)
    probs = 1 / (1 + np.exp(-12 * (outline - np.hypot(x, y))))
    return torch.from_numpy(probs).float()
