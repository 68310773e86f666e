# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT's masks and boxes at image resolution match whole-image versions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity import full
from torch import Tensor

from seg_node.models.assemble.download_crops import download_crops
from seg_node.models.yolact.detect import YolactPrediction
from seg_node.models.yolact.masks import (
    crop_windows,
    enlarge_masks,
    enlarge_whole_masks,
    mix_prototypes,
    pixel_boxes,
)
from seg_node.models.yolact.model import assemble_instances
from seg_node.types import SegmentOptions


def slow_masks(probs: Tensor, boxes_rel: Tensor, image_size: tuple[int, int], threshold: float) -> Tensor:
    """Crop cell by cell, then enlarge the whole map."""
    cropped = torch.zeros_like(probs)
    height, width = probs.shape[1:]
    for i, (x1, y1, x2, y2) in enumerate(boxes_rel):
        left, right = min(x1 * width, x2 * width) - 1, max(x1 * width, x2 * width) + 1
        top, bottom = min(y1 * height, y2 * height) - 1, max(y1 * height, y2 * height) + 1
        for row in range(height):
            for column in range(width):
                if left <= column < right and top <= row < bottom:
                    cropped[i, row, column] = probs[i, row, column]
    enlarged = F.interpolate(cropped[None], size=image_size, mode="bilinear", align_corners=False)
    return enlarged[0] > threshold


BOXES = torch.tensor([
    [0.2, 0.3, 0.6, 0.5],  # inside
    [0.6, 0.5, 0.2, 0.3],  # corners swapped
    [0.0, 0.0, 1.0, 1.0],
    [-0.3, 0.8, 0.1, 1.4],  # over two borders
    [1.3, 0.1, 1.6, 0.4],  # outside
    [-0.9, 0.1, -0.5, 0.4],
    [0.25, 0.25, 0.5, 0.75],  # edges on cells
    [0.51, 0.51, 0.51, 0.51],  # a point
])  # fmt: skip


@pytest.mark.parametrize("image_size", [(60, 95), (16, 16), (7, 9), (5, 120), (1, 1)])
@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_masks_are_those_of_the_whole_map_enlarged(image_size: tuple[int, int], threshold: float) -> None:
    probs = torch.rand(len(BOXES), 16, 20, generator=torch.Generator().manual_seed(0))
    probs[:, 4:9, 5:12] = 0.9
    masks = enlarge_masks(probs, crop_windows(BOXES, (16, 20)), image_size, threshold)
    expected = slow_masks(probs, BOXES, image_size, threshold)
    for mask, pixels in zip(masks, expected, strict=True):
        np.testing.assert_array_equal(full(mask, image_size), pixels)
        if mask.area:  # the smallest rectangle
            edges = mask.pixels[0], mask.pixels[-1], mask.pixels[:, 0], mask.pixels[:, -1]
            assert all(edge.any() for edge in edges)
        else:
            assert mask.pixels.shape == (0, 0)


@pytest.mark.parametrize("count", [0, 1, 40])
def test_masks_enlarged_on_a_device_are_those_enlarged_in_their_windows(count: int) -> None:
    probs = torch.rand(count, 16, 20)
    boxes = torch.rand(count, 4) * 1.4 - 0.2
    windows = crop_windows(boxes, (16, 20))
    whole, _ = download_crops(enlarge_whole_masks(probs, windows, (60, 95), 0.5))
    for found, mask in zip(whole, enlarge_masks(probs, windows, (60, 95), 0.5), strict=True):
        np.testing.assert_array_equal(full(found, (60, 95)), full(mask, (60, 95)))


def test_pixels_near_the_threshold_are_decided_as_the_whole_map_decides_them() -> None:
    random = torch.Generator().manual_seed(1)
    probs = 0.5 + (torch.rand(4, 12, 12, generator=random) - 0.5) * 1e-6
    boxes = torch.tensor([[0.1, 0.1, 0.9, 0.9]]).expand(4, 4)
    masks = enlarge_masks(probs, crop_windows(boxes, (12, 12)), (50, 70), 0.5)
    for mask, pixels in zip(masks, slow_masks(probs, boxes, (50, 70), 0.5), strict=True):
        np.testing.assert_array_equal(full(mask, (50, 70)), pixels)


def test_a_pixel_of_exactly_the_threshold_is_not_the_object_s() -> None:
    half = torch.full((1, 4, 4), 0.5)
    window = torch.tensor([[0, 0, 4, 4]])
    assert enlarge_masks(half, window, (8, 8), 0.5)[0].area == 0
    assert enlarge_masks(half, window, (8, 8), 0.4999)[0].area == 64


def test_crop_keeps_one_cell_around_the_box() -> None:
    # 0.3 · 10 - 1 = 2 … 0.52 · 10 + 1 = 6.2: columns 2 … 6; rows clamped
    boxes = torch.tensor([[0.3, -0.5, 0.52, 2.0]], dtype=torch.float64)
    assert crop_windows(boxes, (8, 10)).tolist() == [[2, 0, 7, 8]]


def test_boxes_are_cut_to_whole_pixels_and_clamped_as_the_reference_does() -> None:
    boxes = torch.tensor([[0.19, 0.29, 0.99, 0.11], [-0.5, -0.5, 1.5, 1.5], [1.2, 1.1, 1.4, 1.3]])
    # the lower corner is clamped only at 0, the upper one only at the border
    expected = [[19, 5, 99, 14], [0, 0, 100, 50], [120, 55, 100, 50]]
    assert pixel_boxes(boxes, (50, 100)).tolist() == expected


def test_prototypes_are_mixed_by_the_coefficients() -> None:
    prototypes = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])  # 1 x 2 cells
    mixed = mix_prototypes(prototypes, torch.tensor([[3.0, -1.0], [0.0, 0.0]]))
    expected = torch.tensor([[[3.0, -2.0]], [[0.0, 0.0]]]).sigmoid()
    assert torch.equal(mixed, expected)


def test_nothing_found_gives_no_instances() -> None:
    raw = YolactPrediction(
        torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 8),
        torch.rand(6, 6, 8),
    )  # fmt: skip
    found = assemble_instances(raw, (40, 30), SegmentOptions(score_threshold=0))
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.class_ids.dtype == np.int32
