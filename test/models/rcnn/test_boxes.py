# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Anchors, box decoding and region pooling match closed forms and torchvision's modules."""

import math

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign, roi_align

from seg_node.models.rcnn.boxes import anchors_at, cell_anchors, decode_boxes, pool_regions, pyramid_levels


def test_anchors_have_the_given_area_and_ratio() -> None:
    cells = cell_anchors([32, 64], [0.5, 2.0], rounded=False)
    widths, heights = cells[:, 2] - cells[:, 0], cells[:, 3] - cells[:, 1]
    torch.testing.assert_close(widths * heights, torch.tensor([32.0, 32.0, 64.0, 64.0]) ** 2)
    torch.testing.assert_close(heights / widths, torch.tensor([0.5, 2.0, 0.5, 2.0]))
    torch.testing.assert_close(cells[:, :2], -cells[:, 2:])


def test_rounded_anchors_have_corners_on_whole_pixels() -> None:
    # 32·√2 / 2 = 22.63, 32 / √2 / 2 = 11.31
    assert cell_anchors([32], [0.5], rounded=True).tolist() == [[-23, -11, 23, 11]]


def test_anchors_are_those_of_torchvision_in_its_order() -> None:
    sizes, ratios = (16, 24), (0.5, 1.0, 2.0)
    feature = torch.zeros(1, 1, 3, 5)
    (expected,) = AnchorGenerator((sizes,), (ratios,))(
        ImageList(torch.zeros(1, 3, 37, 80), [(37, 80)]), [feature]
    )
    indices = torch.randperm(len(expected), generator=torch.Generator().manual_seed(0))
    anchors = anchors_at(indices, cell_anchors(sizes, ratios, rounded=True), 5, (37 // 3, 80 // 5))
    assert torch.equal(anchors, expected[indices])


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_boxes_are_decoded_as_by_torchvision(weights: tuple[float, float, float, float]) -> None:
    random = torch.Generator().manual_seed(0)
    references = torch.rand(50, 4, generator=random) * 100
    references[:, 2:] += references[:, :2]
    deltas = torch.randn(50, 4, generator=random) * 8  # so large that some scales are limited
    expected = BoxCoder(weights).decode_single(deltas, references)
    assert torch.equal(decode_boxes(deltas, references, weights), expected)
    assert decode_boxes(deltas[:0], references[:0], weights).shape == (0, 4)


def test_no_box_grows_beyond_the_limit() -> None:
    box = decode_boxes(torch.full((1, 4), 50.0), torch.tensor([[0.0, 0.0, 16.0, 16.0]]), (1, 1, 1, 1))
    assert math.isclose(float(box[0, 2] - box[0, 0]), 1000, rel_tol=1e-5)


def test_larger_boxes_are_pooled_from_coarser_levels() -> None:
    sides = torch.tensor([1.0, 111.9, 112.0, 223.0, 224.0, 448.0, 5000.0])
    boxes = torch.stack([torch.zeros(7), torch.zeros(7), sides, sides], dim=1)
    assert pyramid_levels(boxes, 4).tolist() == [0, 0, 1, 1, 2, 3, 3]


def test_regions_are_pooled_as_by_torchvision() -> None:
    random = torch.Generator().manual_seed(0)
    features = [torch.randn(2, 3, 256 >> level, 320 >> level, generator=random) for level in range(4)]
    boxes = []
    for count in (20, 7):
        corners = torch.rand(count, 2, generator=random) * 500
        sides = torch.exp(torch.rand(count, 2, generator=random) * 6)
        boxes.append(torch.cat([corners, corners + sides], dim=1))
    pooler = MultiScaleRoIAlign(["0", "1", "2", "3"], 5, 2)
    named = {str(level): feature for level, feature in enumerate(features)}
    expected = pooler(named, boxes, [(1024, 1280)] * 2)
    assert torch.equal(pool_regions(features, boxes, 5, sampling_ratio=2, aligned=False), expected)
    assert pool_regions(features, [boxes[0][:0], boxes[1][:0]], 5, 2, False).shape == (0, 3, 5, 5)


def test_alignment_and_sampling_follow_the_arguments() -> None:
    feature = torch.randn(1, 2, 40, 40, generator=torch.Generator().manual_seed(1))
    box = torch.tensor([[11.0, 17.0, 90.0, 75.0]])
    expected = roi_align(feature, [box], (7, 7), 0.25, sampling_ratio=0, aligned=True)
    assert torch.equal(pool_regions([feature], [box], 7, sampling_ratio=0, aligned=True), expected)
