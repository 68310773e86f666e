# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT's priors, Fast NMS and selection of detections match slow plain versions."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from seg_node.models.yolact.detect import (
    YolactPrediction,
    YolactSettings,
    decode_boxes,
    detect,
    fast_nms,
    make_priors,
)
from seg_node.models.yolact.network import YolactOutput
from seg_node.types import SegmentOptions

SIZES = ((4.0, 4.0), (2.0, 8.0))
SETTINGS = YolactSettings(input_size=44, prior_sizes=(SIZES, SIZES))
OPTIONS = SegmentOptions(score_threshold=0)


def test_priors_are_ordered_by_level_row_column_and_shape() -> None:
    expected = [
        [(column + 0.5) / cells, (row + 0.5) / cells, width / 44, height / 44]
        for cells in (6, 3)  # 44 / 8 and 44 / 16, rounded up
        for row, column, (width, height) in itertools.product(range(cells), range(cells), SIZES)
    ]
    assert torch.equal(make_priors(SETTINGS), torch.tensor(expected))


def test_boxes_are_decoded_around_their_prior() -> None:
    priors = torch.tensor([[0.5, 0.4, 0.2, 0.1]])
    loc = torch.tensor([[1.0, -2.0, 5 * math.log(2), 0.0]])
    expected = [[0.52 - 0.2, 0.38 - 0.05, 0.52 + 0.2, 0.38 + 0.05]]
    np.testing.assert_allclose(decode_boxes(loc, priors), expected, rtol=1e-6)


def slow_iou(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if union else math.nan


def slow_fast_nms(boxes: list[list[float]], threshold: float) -> list[bool]:
    """Keep boxes of one class, best first, unless any earlier one, kept or not, overlaps by more."""
    return [all(slow_iou(before, box) <= threshold for before in boxes[:i]) for i, box in enumerate(boxes)]


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_fast_nms_decides_as_a_loop_does(threshold: float) -> None:
    corners = torch.randint(0, 6, (5, 30, 2), generator=torch.Generator().manual_seed(0))
    sides = torch.randint(1, 8, (5, 30, 2), generator=torch.Generator().manual_seed(1))
    boxes = torch.cat((corners, corners + sides), dim=2).double()
    expected = [slow_fast_nms(rows, threshold) for rows in boxes.tolist()]
    assert fast_nms(boxes, threshold).tolist() == expected
    assert 20 < sum(map(sum, expected)) < 130


def test_suppressed_boxes_suppress_and_an_overlap_of_the_threshold_does_not() -> None:
    chain = [[0.0, 0, 4, 1], [1.0, 0, 5, 1], [2.0, 0, 6, 1]]  # IoU 3/5 of neighbours, 2/6 of the ends
    assert fast_nms(torch.tensor([chain]), 0.5).tolist() == [[True, False, False]]
    assert fast_nms(torch.tensor([[[0.0, 0, 2, 1], [0.0, 0, 1, 1]]]), 0.5).tolist() == [[True, True]]


def test_boxes_without_area_are_dropped_unless_they_come_first() -> None:
    point = [1.0, 1.0, 1.0, 1.0]
    assert fast_nms(torch.tensor([[point, point, [0.0, 0, 2, 2]]]), 0.5).tolist() == [[True, False, True]]
    assert fast_nms(torch.zeros(3, 0, 4), 0.5).shape == (3, 0)


def random_output(seed: int, classes: int = 6, spread: float = 2.0) -> tuple[YolactOutput, Tensor]:
    random = torch.Generator().manual_seed(seed)
    priors = make_priors(SETTINGS)
    count = len(priors)
    logits = torch.randn(1, count, classes, generator=random) * spread
    output = YolactOutput(
        loc=torch.randn(1, count, 4, generator=random) * 2,
        class_probs=logits.softmax(-1),
        coefficients=torch.arange(count * 2.0).view(1, count, 2),  # identify the prior
        prototypes=torch.rand(1, 4, 4, 2, generator=random),
    )
    return output, priors


Found = tuple[float, int, int]  # score, class, prior


def slow_detect(
    output: YolactOutput, priors: Tensor, settings: YolactSettings, cross_class: bool
) -> list[Found]:
    probs = output.class_probs[0, :, 1:].tolist()
    boxes = decode_boxes(output.loc[0], priors).tolist()
    alive = [i for i, row in enumerate(probs) if max(row) > settings.candidate_threshold]
    if cross_class:
        lists = [[(max(probs[i]), probs[i].index(max(probs[i])), i) for i in alive]]
    else:
        lists = [[(probs[i][c], c, i) for i in alive] for c in range(len(probs[0]))]
    found: list[Found] = []
    for one in lists:
        best = sorted(one, key=lambda entry: -entry[0])[: settings.candidates_per_class]
        kept = slow_fast_nms([boxes[i] for _, _, i in best], 0.5)
        found += itertools.compress(best, kept)
    return sorted(found, key=lambda entry: -entry[0])[: 200 if cross_class else 100]


def as_found(prediction: YolactPrediction) -> list[Found]:
    prior = prediction.coefficients[:, 0] / 2
    return list(
        zip(prediction.scores.tolist(), prediction.class_ids.tolist(), map(int, prior.tolist()), strict=True)
    )


@pytest.mark.parametrize("cross_class", [False, True])
@pytest.mark.parametrize("candidates", [5, 200])
def test_detections_are_those_of_a_plain_loop(cross_class: bool, candidates: int) -> None:
    settings = replace(
        SETTINGS, candidate_threshold=0.4, candidates_per_class=candidates, cross_class_nms=cross_class
    )
    options = replace(OPTIONS, max_instances=200 if cross_class else 100)
    for seed in range(3):
        output, priors = random_output(seed)
        (prediction,) = detect(output, priors, settings, options)
        expected = slow_detect(output, priors, settings, cross_class)
        assert as_found(prediction) == expected
        assert len(expected) > 4
        rows = [prior for _, _, prior in expected]
        assert torch.equal(prediction.boxes_rel, decode_boxes(output.loc[0], priors)[rows])


@pytest.mark.parametrize("cross_class", [False, True])
@pytest.mark.parametrize("threshold", [0.1, 0.4, 0.6])
def test_a_score_threshold_only_cuts_the_end_of_the_list(cross_class: bool, threshold: float) -> None:
    settings = replace(SETTINGS, candidates_per_class=20, cross_class_nms=cross_class)
    output, priors = random_output(7)
    (everything,) = detect(output, priors, settings, OPTIONS)
    (good,) = detect(output, priors, settings, replace(OPTIONS, score_threshold=threshold))
    assert as_found(good) == [entry for entry in as_found(everything) if entry[0] > threshold]
    assert len(good.scores) > 0


def test_of_equal_boxes_with_equal_scores_one_is_kept() -> None:
    output, priors = random_output(6)
    output.class_probs[:] = output.class_probs[:, :1]
    output.loc[:] = 0
    priors = priors[:1].expand_as(priors)
    (prediction,) = detect(output, priors, replace(SETTINGS, candidate_threshold=0), OPTIONS)
    assert sorted(prediction.class_ids.tolist()) == [0, 1, 2, 3, 4]


def test_a_class_filter_leaves_the_others_as_they_were() -> None:
    output, priors = random_output(3)
    for settings in (SETTINGS, replace(SETTINGS, cross_class_nms=True)):
        options = replace(OPTIONS, max_instances=10_000)
        (everything,) = detect(output, priors, settings, options)
        (some,) = detect(output, priors, settings, replace(options, classes=frozenset({1, 3, 99})))
        assert sorted(as_found(some)) == sorted(e for e in as_found(everything) if e[1] in (1, 3))
        (best,) = detect(output, priors, settings, replace(options, max_instances=2))
        assert as_found(best) == as_found(everything)[:2]
        (none,) = detect(output, priors, settings, replace(options, classes=frozenset({99})))
        assert len(none.scores) == 0


def test_nothing_found_is_an_answer() -> None:
    output, priors = random_output(4)
    for settings in (SETTINGS, replace(SETTINGS, cross_class_nms=True)):
        (prediction,) = detect(output, priors, settings, replace(OPTIONS, score_threshold=1.0))
        assert prediction.boxes_rel.shape == (0, 4)
        assert prediction.class_ids.shape == (0,)
        assert prediction.coefficients.shape == (0, 2)


def test_scores_that_are_not_numbers_are_no_detections() -> None:
    output, priors = random_output(5)
    output.class_probs[0, ::2] = math.nan
    (prediction,) = detect(output, priors, SETTINGS, OPTIONS)
    assert len(prediction.scores) > 0
    assert all(prior % 2 for _, _, prior in as_found(prediction))
