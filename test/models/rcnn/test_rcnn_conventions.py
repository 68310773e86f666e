# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Conventions in which Detectron2's Mask R-CNN differs from torchvision's, one by one, on small inputs."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from seg_node.models.rcnn.boxes import anchors_at, cell_anchors, pyramid_levels
from seg_node.models.rcnn.model import assemble_instances
from seg_node.models.rcnn.network import RawPrediction
from seg_node.models.rcnn.roi_heads import BoxHead
from seg_node.models.rcnn.rpn import RegionProposals
from seg_node.models.rcnn.settings import DETECTRON2_SETTINGS, RCNNSettings
from seg_node.preprocess.prepare import ModelInput
from seg_node.types import SegmentOptions


def slow_anchors(
    rows: int, columns: int, stride: int, sizes: list[float], ratios: list[float], offset: float
) -> Tensor:
    """List anchors by row, column, size, ratio, like `DefaultAnchorGenerator`."""
    anchors = []
    for row in range(rows):
        for column in range(columns):
            x, y = (column + offset) * stride, (row + offset) * stride
            for size in sizes:
                for ratio in ratios:
                    width = math.sqrt(size * size / ratio)
                    height = ratio * width
                    anchors.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    return torch.tensor(anchors, dtype=torch.float32)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_anchors_run_over_sizes_then_ratios_and_are_not_rounded(offset: float) -> None:
    sizes, ratios = [32.0, 40.5], [0.5, 1.0, 2.0]
    expected = slow_anchors(3, 5, 16, sizes, ratios, offset)
    cells = cell_anchors(sizes, ratios, rounded=False)
    anchors = anchors_at(torch.arange(len(expected)), cells, 5, (16, 16), offset)
    torch.testing.assert_close(anchors, expected, rtol=0, atol=1e-5)


def test_box_just_below_a_level_stays_there_unless_the_level_is_raised() -> None:
    side = np.float32(112)
    for _ in range(4):
        side = np.nextafter(side, np.float32(0))
    box = torch.tensor([[0.0, 0.0, float(side), float(side)]])
    assert pyramid_levels(box, 4, "level").tolist() == [1]
    assert pyramid_levels(box, 4, "side").tolist() == [0]
    assert pyramid_levels(torch.zeros(1, 4), 4, "side").tolist() == [0]


def proposals_of(settings: RCNNSettings, heights: list[int], logits: float = 0.0) -> Tensor:
    """Return the proposals of a head that gives every anchor the same score and no shift."""
    rpn = RegionProposals(1, 1, settings)
    for parameter in rpn.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(rpn.get_parameter("cls_logits.bias"), logits)
    features = [torch.zeros(1, 1, height, height) for height in heights]
    with torch.inference_mode():
        (boxes,) = rpn(*rpn.head(features), ModelInput(torch.zeros(1, 3, 96, 96), ((96, 96),)))
    return boxes


@pytest.mark.parametrize(("strides", "second"), [("exact", 64.0), ("measured", 48.0)])
def test_anchors_of_a_map_of_odd_size_keep_their_stride(
    strides: Literal["exact", "measured"], second: float
) -> None:
    sizes = ((8.0,), (8.0,), (8.0,), (8.0,), (20.0,))
    settings = RCNNSettings(anchor_sizes=sizes, anchor_ratios=(1.0,), anchor_strides=strides)
    boxes = proposals_of(settings, [24, 12, 6, 3, 2])  # the coarsest level has two cells for 96 pixels
    whole = boxes[boxes[:, 2] - boxes[:, 0] == 20]
    assert set(whole[:, 0].tolist()) == {second - 10}


def test_proposals_without_area_are_dropped_and_thin_ones_kept() -> None:
    thin = (1e-4,), (1e-4,), (1e-4,), (1e-4,), (1e-4,)
    kept = proposals_of(RCNNSettings(anchor_sizes=thin, anchors_rounded=False), [24, 12, 6, 3, 2])
    assert len(kept) == 0  # torchvision drops sides below 1e-3
    kept = proposals_of(
        RCNNSettings(anchor_sizes=thin, anchors_rounded=False, proposal_min_side=2.0**-126), [1] * 5
    )
    assert len(kept) > 0
    assert torch.all(kept[:, 2:] > kept[:, :2])


@pytest.mark.parametrize("logits", [math.nan, math.inf])
def test_proposals_that_are_not_finite_are_dropped(logits: float) -> None:
    assert len(proposals_of(DETECTRON2_SETTINGS, [24, 12, 6, 3, 2])) > 0
    assert len(proposals_of(DETECTRON2_SETTINGS, [24, 12, 6, 3, 2], logits)) == 0


def test_scores_with_equal_probabilities_are_ordered_by_logits() -> None:
    """Logits of 20 and 30 both have probability 1 in float32."""
    sizes = ((8.0,), (16.0,), (8.0,), (8.0,), (8.0,))
    rpn = RegionProposals(1, 1, replace(DETECTRON2_SETTINGS, anchor_sizes=sizes, proposals=1))
    features = [torch.full((1, 1, side, side), 10.0) for side in (24, 12, 6, 3, 2)]
    features[1] += 10
    with torch.no_grad():
        for parameter in rpn.parameters():
            parameter.zero_()
        rpn.get_parameter("conv.0.0.weight")[:, :, 1, 1] = 1
        rpn.get_parameter("cls_logits.weight").fill_(1)
        rpn.get_parameter("cls_logits.bias").fill_(10)
        (boxes,) = rpn(*rpn.head(features), ModelInput(torch.zeros(1, 3, 96, 96), ((96, 96),)))
    assert float(boxes[0, 3] - boxes[0, 1]) > 12  # higher than any anchor of 8 pixels


def detect(settings: RCNNSettings, box_classes: int, scores: list[float]) -> tuple[list[int], Tensor]:
    """Return the classes found in one proposal, and their boxes; class i shifts its box i pixels right."""
    head = BoxHead(1, (), (1,), len(scores), box_classes, None, settings)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.inference_mode():
        head.cls_score.bias.copy_(torch.tensor(scores).log())
        shifts = torch.zeros(box_classes, 4)
        shifts[:, 0] = torch.arange(box_classes)
        head.bbox_pred.bias.copy_(shifts.flatten())
        (found,) = head(
            [torch.zeros(1, 1, 8, 8)] * 4,
            [torch.tensor([[4.0, 4.0, 14.0, 14.0]])],
            ModelInput(torch.zeros(1, 3, 32, 32), ((32, 32),)),
            SegmentOptions(score_threshold=0.05),
        )
    return found.class_ids.tolist(), found.boxes_xyxy


def test_background_is_the_last_class_and_has_no_box() -> None:
    classes, boxes = detect(DETECTRON2_SETTINGS, 2, [0.3, 0.2, 0.5])
    assert classes == [0, 1]
    torch.testing.assert_close(boxes[:, 0], torch.tensor([4.0, 5.0]))
    classes, boxes = detect(RCNNSettings(), 3, [0.3, 0.2, 0.5])
    assert classes == [2, 1]
    torch.testing.assert_close(boxes[:, 0], torch.tensor([6.0, 5.0]))


def test_one_box_may_serve_all_classes() -> None:
    classes, boxes = detect(DETECTRON2_SETTINGS, 1, [0.3, 0.2, 0.5])
    assert classes == [0, 1]
    assert torch.equal(boxes[0], boxes[1])


def test_boxes_end_at_the_image_and_those_without_pixels_are_dropped() -> None:
    boxes = [[2.0, 2.0, 6.0, 6.0], [4.0, 4.0, 30.0, 6.0], [20.0, 2.0, 20.0, 8.0], [25.0, 2.0, 29.0, 8.0]]
    raw = RawPrediction(
        torch.tensor(boxes),
        torch.tensor([0.9, 0.8, 0.7, 0.6]),
        torch.arange(4),
        torch.ones(4, 28, 28),
        (10, 20),
    )
    ours = assemble_instances(raw, (20, 40), DETECTRON2_SETTINGS, SegmentOptions(0.05))
    np.testing.assert_array_equal(ours.boxes_xyxy, [[4, 4, 12, 12], [8, 8, 40, 12]])
    np.testing.assert_array_equal(ours.class_ids, [0, 1])
    np.testing.assert_array_equal(ours.ids, [1, 2])
    assert [mask.roi.width for mask in ours.masks] == [8, 32]
    theirs = assemble_instances(raw, (20, 40), RCNNSettings(), SegmentOptions(0.05))
    assert len(theirs) == 4 and theirs.boxes_xyxy[1, 2] == 60  # torchvision's, once they are scaled
