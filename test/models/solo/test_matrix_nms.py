# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Suppression by masks matches plain loops."""

import math

import pytest
import torch
from torch import Tensor

from seg_node.models.solo.matrix_nms import hard_nms, matrix_nms


def scattered(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Make overlapping rectangles of three classes, by falling score."""
    random = torch.Generator().manual_seed(seed)
    masks = torch.zeros((count, 20, 30), dtype=torch.bool)
    for mask in masks:
        top, left = (int(torch.randint(0, side, (), generator=random)) for side in (12, 16))
        height, width = (int(torch.randint(4, 14, (), generator=random)) for _ in range(2))
        mask[top : top + height, left : left + width] = True
    class_ids = torch.randint(0, 3, (count,), generator=random)
    scores = torch.rand(count, generator=random).sort(descending=True).values
    return masks, class_ids, scores


def plain_iou(a: Tensor, b: Tensor) -> float:
    return float((a & b).sum()) / float((a | b).sum())


def plain_matrix_nms(
    masks: Tensor, class_ids: Tensor, scores: Tensor, kernel: str, sigma: float
) -> list[float]:
    """Compute equations 3 to 5 of SOLOv2 literally."""

    def decay(overlap: float) -> float:
        return math.exp(-sigma * overlap**2) if kernel == "gaussian" else 1 - overlap

    def overlaps(j: int) -> dict[int, float]:
        return {i: plain_iou(masks[i], masks[j]) for i in range(j) if class_ids[i] == class_ids[j]}

    lowered = []
    for j, score in enumerate(scores.tolist()):
        factors = [decay(iou) / decay(max(overlaps(i).values(), default=0)) for i, iou in overlaps(j).items()]
        lowered.append(score * min([1.0, *factors]))
    return lowered


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_scores_are_lowered_as_in_the_paper(kernel: str, count: int) -> None:
    masks, class_ids, scores = scattered(count)
    found = matrix_nms(masks, class_ids, scores, kernel, 1.5)  # type: ignore[arg-type]
    expected = plain_matrix_nms(masks, class_ids, scores, kernel, 1.5)
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-7)
    assert count < 40 or (found < scores).sum() > 10


def test_only_masks_of_the_same_class_lower_a_score() -> None:
    masks = torch.ones((2, 4, 5), dtype=torch.bool)
    scores = torch.tensor([0.9, 0.8])
    other = matrix_nms(masks, torch.tensor([3, 4]), scores)
    same = matrix_nms(masks, torch.tensor([3, 3]), scores)
    torch.testing.assert_close(other, scores)
    torch.testing.assert_close(same, torch.tensor([0.9, 0.8 * math.exp(-2)]))


@pytest.mark.parametrize("count", [0, 1, 40])
def test_hard_suppression_keeps_what_a_greedy_loop_keeps(count: int) -> None:
    masks, class_ids, _ = scattered(count, seed=3)
    kept: list[int] = []
    for j in range(count):
        rivals = [i for i in kept if class_ids[i] == class_ids[j]]
        if all(plain_iou(masks[i], masks[j]) <= 0.3 for i in rivals):
            kept.append(j)
    found = hard_nms(masks, class_ids, 0.3)
    assert found.nonzero().flatten().tolist() == kept
    assert count < 40 or 3 < len(kept) < count


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_masks_without_pixels_change_no_other_score(kernel: str) -> None:
    masks, class_ids, scores = scattered(20)
    expected = matrix_nms(masks, class_ids, scores, kernel)  # type: ignore[arg-type]
    masks = torch.cat((masks, torch.zeros_like(masks[:2])))
    class_ids, scores = torch.cat((class_ids, class_ids[:2])), torch.cat((scores, torch.tensor([-1.0, -1])))
    assert torch.equal(matrix_nms(masks, class_ids, scores, kernel)[:20], expected)  # type: ignore[arg-type]
    assert torch.equal(hard_nms(masks, class_ids, 0.3)[:20], hard_nms(masks[:20], class_ids[:20], 0.3))
