# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of a SOLO around its convolutions match plain loops and closed forms."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.models.assemble.download_crops import download_crops
from seg_node.models.solo import masks as solo_masks
from seg_node.models.solo.heads import (
    count_levels,
    grid_levels,
    points_nms,
    split_levels,
    with_coordinates,
)
from seg_node.models.solo.masks import (
    Candidates,
    SoloPrediction,
    find_candidates,
    place_masks,
    place_whole_masks,
    select_instances,
)
from seg_node.models.solo.settings import SoloSettings
from seg_node.types import MaskCrop, SegmentOptions

OPTIONS = SegmentOptions(score_threshold=0.0)


def full(mask: MaskCrop, image_size: tuple[int, int]) -> np.ndarray:
    image = np.zeros(image_size, np.bool_)
    height, width = mask.pixels.shape
    image[mask.y_offset : mask.y_offset + height, mask.x_offset : mask.x_offset + width] = mask.pixels
    return image


def blobs(count: int, height: int, width: int) -> Tensor:
    random = torch.Generator().manual_seed(5)
    coarse = torch.randn((1, count, height // 3, width // 3), generator=random)
    return F.interpolate(coarse, size=(height, width), mode="bicubic")[0].sigmoid()


def test_points_nms_looks_up_and_left_only() -> None:
    random = torch.Generator().manual_seed(0)
    probs = torch.randint(0, 4, (2, 3, 7, 7), generator=random) / 4
    expected = probs.clone()
    for image, kind, row, column in np.ndindex(*probs.shape):
        near = probs[image, kind, max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1]
        if probs[image, kind, row, column] < near.max():
            expected[image, kind, row, column] = 0
    torch.testing.assert_close(points_nms(probs), expected, rtol=0, atol=0)
    assert 0 < (expected == 0).sum() < expected.numel()


def test_coordinates_follow_the_features_x_before_y() -> None:
    x = torch.zeros((2, 1, 3, 5))
    both = with_coordinates(x, "xy")
    assert both.shape == (2, 3, 3, 5)
    assert both[1, 1, 2].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert both[1, 2, :, 3].tolist() == [-1, 0, 1]
    assert torch.equal(with_coordinates(x, "x")[:, 1], both[:, 1])
    assert torch.equal(with_coordinates(x, "y")[:, 1], both[:, 2])


def test_the_heads_levels_are_half_the_finest_and_double_the_coarsest() -> None:
    pyramid = [torch.rand(1, 2, 64 // stride, 96 // stride) for stride in (4, 8, 16, 32)]
    levels = grid_levels([*pyramid, torch.rand(1, 2, 1, 2)])
    assert [tuple(level.shape[-2:]) for level in levels] == [(8, 12), (8, 12), (4, 6), (2, 3), (2, 3)]
    torch.testing.assert_close(levels[0], F.avg_pool2d(pyramid[0], 2))


def test_candidates_run_over_levels_rows_columns_classes() -> None:
    probs = [torch.zeros((3, 3, 4)), torch.zeros((2, 2, 4))]
    probs[0][0, 1, 3] = probs[0][2, 0, 0] = probs[0][0, 1, 1] = 0.5
    probs[1][1, 0, 2] = 0.7
    probs[1][0, 0, 2] = 0.25  # is not above the threshold
    found = find_candidates(probs, (8, 16), 0.25, None)
    assert found.cells.tolist() == [1, 1, 6, 9 + 2]
    assert found.per_level == count_levels(found.cells, (3, 2)) == [3, 1]
    assert [cells.tolist() for cells in split_levels(found.cells, [3, 1], (3, 2))] == [[1, 1, 6], [2]]
    assert found.class_ids.tolist() == [1, 3, 0, 2]
    assert found.strides.tolist() == [8, 8, 8, 16]
    torch.testing.assert_close(found.scores, torch.tensor([0.5, 0.5, 0.5, 0.7]))
    only = find_candidates(probs, (8, 16), 0.25, {2, 3, 99})
    assert only.cells.tolist() == [1, 11]
    assert count_levels(only.cells[1:], (3, 2, 9)) == [0, 1, 0]
    assert [cells.tolist() for cells in split_levels(only.cells[1:], [0, 1, 0], (3, 2, 9))] == [[], [2], []]
    assert only.class_ids.tolist() == [3, 2]


def candidates(scores: list[float], class_ids: list[int], stride: int = 8) -> Candidates:
    count = len(scores)
    strides = torch.full((count,), float(stride))
    per_level = (count, 0, 0, 0, 0)
    return Candidates(torch.arange(count), torch.tensor(class_ids), torch.tensor(scores), strides, per_level)


def first_level(probs: Tensor) -> Callable[[Sequence[Tensor]], Tensor]:
    """Return a function that computes masks of cells, all of the first level."""
    return lambda cells: probs[cells[0]]


def test_a_mask_must_have_more_pixels_than_the_stride() -> None:
    probs = torch.zeros((2, 6, 6))
    probs[0, :2, :4] = 0.9  # 8 pixels
    probs[1, :3, :3] = 0.9  # 9
    scores, class_ids, masks = select_instances(
        candidates([0.8, 0.4], [1, 2]), first_level(probs), SoloSettings(), OPTIONS
    )
    assert class_ids.tolist() == [2]
    torch.testing.assert_close(scores, torch.tensor([0.4 * 0.9]))
    assert torch.equal(masks, probs[1:])


def test_the_score_is_multiplied_by_the_mean_inside_the_mask() -> None:
    probs = torch.full((1, 4, 4), 0.3)
    probs[0, :2, :] = 0.6
    probs[0, 2, :2] = 1.0
    scores, _, _ = select_instances(candidates([0.5], [0]), first_level(probs), SoloSettings(), OPTIONS)
    torch.testing.assert_close(scores, torch.tensor([0.5 * (8 * 0.6 + 2) / 10]))


@pytest.mark.parametrize("limit", [5, 12, 500])
def test_the_best_are_chosen_as_from_all_masks_at_once(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solo_masks, "_CHUNK", 7)
    probs = blobs(40, 12, 15)
    scores = torch.rand(40, generator=torch.Generator().manual_seed(2))
    masks = probs > 0.5
    expected = scores * (probs * masks).sum((1, 2)) / masks.sum((1, 2))
    expected = expected[masks.sum((1, 2)) > 90]
    asked: list[int] = []

    def masks_of(cells: Sequence[Tensor]) -> Tensor:
        asked.extend(cells[0].tolist())
        assert cells[0].tolist() == sorted(cells[0].tolist())
        return probs[cells[0]]

    settings = SoloSettings(nms_candidates=limit, update_threshold=0)
    all_of_their_own = candidates(scores.tolist(), list(range(40)), stride=90)
    found, class_ids, found_probs = select_instances(all_of_their_own, masks_of, settings, OPTIONS)
    assert 12 < len(expected) < 40
    torch.testing.assert_close(found, expected.sort(descending=True).values[:limit])
    assert torch.equal(found_probs, probs[class_ids])
    assert len(asked) < 40 if limit == 5 else len(asked) <= 40


def test_scores_that_are_no_numbers_are_dropped() -> None:
    # the linear kernel divides 0 by 0 for the third of three equal masks
    probs = torch.full((3, 4, 4), 0.9)
    scores, _, _ = select_instances(
        candidates([0.9, 0.8, 0.7], [0, 0, 0]), first_level(probs), SoloSettings(nms="linear"), OPTIONS
    )
    torch.testing.assert_close(scores, torch.tensor([0.81]))


@pytest.mark.parametrize(
    ("small", "input_size", "image_size"),
    [((24, 40), (89, 160), (72, 131)), ((24, 40), (96, 133), (300, 415)), ((8, 8), (29, 32), (700, 772))],
)
def test_masks_are_enlarged_cropped_and_resized(
    small: tuple[int, int], input_size: tuple[int, int], image_size: tuple[int, int]
) -> None:
    probs = blobs(6, *small)
    probs[1] *= 0.4  # nothing above the threshold
    probs[2, 1:] = 0  # at the border
    enlarged = F.interpolate(probs[None], size=(small[0] * 4, small[1] * 4), mode="bilinear")
    enlarged = enlarged[:, :, : input_size[0], : input_size[1]]
    expected = F.interpolate(enlarged, size=image_size, mode="bilinear")[0].numpy()
    prediction = SoloPrediction(torch.zeros(6), torch.zeros(6), probs, input_size)
    for mask, soft in zip(place_masks(prediction, image_size, 4, 0.5), expected, strict=True):
        found = full(mask, image_size)
        wrong = found != (soft > 0.5)
        assert (np.abs(soft[wrong] - 0.5) < 1e-6).all()  # at most the last bit of a sum
        rows, columns = np.nonzero(found)
        if len(rows):
            assert mask.pixels.shape == (np.ptp(rows) + 1, np.ptp(columns) + 1)
        else:
            assert mask.pixels.shape == (0, 0)
    assert place_masks(prediction, image_size, 4, 0.5)[1].area == 0


@pytest.mark.parametrize("count", [0, 1, 40])
@pytest.mark.parametrize("mask_stride", [4, None])
def test_masks_placed_on_a_device_are_those_placed_one_by_one(count: int, mask_stride: int | None) -> None:
    coarse = torch.randn((1, count, 6, 9)) if count else torch.zeros(1, 0, 6, 9)
    probs = F.interpolate(coarse, size=(24, 40), mode="bicubic")[0].sigmoid() if count else coarse[0]
    prediction = SoloPrediction(torch.zeros(count), torch.zeros(count), probs, (89, 150))
    whole = place_whole_masks(prediction, (72, 131), mask_stride, 0.5)
    one_by_one = place_masks(prediction, (72, 131), mask_stride, 0.5)
    assert whole.shape == (count, 72, 131)
    for found, mask in zip(download_crops(whole)[0], one_by_one, strict=True):
        # at most the last bit of a sum
        assert np.count_nonzero(full(found, (72, 131)) != full(mask, (72, 131))) <= 1


def test_adelaidet_s_stride_is_the_input_s_height_by_the_masks_rounded_up() -> None:
    # 65 rows, padded to 96 and a quarter of it: a stride of 3, so that 72 rows are left, not 96
    probs = blobs(3, 24, 40)
    enlarged = F.interpolate(probs[None], size=(72, 120), mode="bilinear")[:, :, :65, :150]
    assert enlarged.shape[-2:] == (65, 120)
    expected = F.interpolate(enlarged, size=(200, 300), mode="bilinear")[0].numpy() > 0.5
    prediction = SoloPrediction(torch.zeros(3), torch.zeros(3), probs, (65, 150))
    masks = place_masks(prediction, (200, 300), None, 0.5)
    assert all((full(mask, (200, 300)) == soft).all() for mask, soft in zip(masks, expected, strict=True))
