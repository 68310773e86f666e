# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality: each rule, a plain reference, and the numbers of panopticapi."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seg_node.evaluation.panoptic_quality import CategoryQuality, PanopticQuality, PanopticResult, TrueSegment

PANOPTIC = Path(__file__).resolve().parents[3] / "shared/data/panoptic"
CAT, DOG, GRASS, SKY = 1, 2, 10, 11
Ids = list[list[int]]


def quality(
    predicted_map: Ids,
    predicted: dict[int, int],
    true_map: Ids,
    truth: dict[int, int],
    crowd: tuple[int, ...] = (),
) -> PanopticResult:
    """Score one image; the ground truth's areas are those of its map."""
    counted = PanopticQuality([CAT, DOG], [GRASS, SKY])
    pixels = np.array(true_map)
    segments = [
        TrueSegment(segment_id, category, int((pixels == segment_id).sum()), segment_id in crowd)
        for segment_id, category in truth.items()
    ]
    counted.add(np.array(predicted_map), predicted, pixels, segments)
    return counted.result()


def test_a_perfect_prediction_has_quality_1_whatever_the_ids() -> None:
    true_map = [[7, 7, 9], [7, 0, 9]]
    predicted_map = [[3, 3, 2**23], [3, 0, 2**23]]
    result = quality(predicted_map, {2**23: GRASS, 3: CAT}, true_map, {9: GRASS, 7: CAT})
    for mean, count in ((result.all, 2), (result.things, 1), (result.stuff, 1)):
        assert (mean.pq, mean.sq, mean.rq, mean.num_categories) == (1, 1, 1, count)
    assert result.categories[CAT] == CategoryQuality(1, 0, 0, 1.0)
    assert not result.categories[DOG].occurs


def test_a_missed_segment_is_a_false_negative_and_an_invented_one_a_false_positive() -> None:
    result = quality([[0, 5, 5]], {5: DOG}, [[3, 4, 4]], {3: CAT, 4: GRASS})
    assert result.categories[CAT] == CategoryQuality(0, 0, 1)
    assert result.categories[GRASS] == CategoryQuality(0, 0, 1)
    assert result.categories[DOG] == CategoryQuality(0, 1, 0)
    assert (result.things.pq, result.things.num_categories) == (0, 2)


@pytest.mark.parametrize(("hit", "counts"), [(2, (0, 1, 1)), (3, (1, 0, 0))])
def test_an_iou_of_a_half_is_no_match_more_is(hit: int, counts: tuple[int, int, int]) -> None:
    truth = [[1] * 4]
    predicted = [[1] * hit + [2] * (4 - hit)]
    found = quality(predicted, {1: CAT, 2: GRASS}, truth, {1: CAT}).categories[CAT]
    assert (found.true_positives, found.false_positives, found.false_negatives) == counts
    assert found.iou_sum == (0.75 if counts[0] else 0)


def test_a_split_segment_is_matched_by_its_larger_part_only() -> None:
    found = quality([[1, 1, 1, 2]], {1: CAT, 2: CAT}, [[5, 5, 5, 5]], {5: CAT}).categories[CAT]
    assert found == CategoryQuality(1, 1, 0, 0.75)
    assert (found.pq, found.sq, found.rq) == (0.75 / 1.5, 0.75, 1 / 1.5)


def test_void_pixels_of_the_truth_are_not_held_against_a_match() -> None:
    found = quality([[1, 1, 1, 1]], {1: CAT}, [[5, 5, 0, 0]], {5: CAT}).categories[CAT]
    assert found == CategoryQuality(1, 0, 0, 1.0)


@pytest.mark.parametrize(("true_map", "excused"), [([[0, 0, 0, 7]], True), ([[0, 0, 7, 7]], False)])
def test_a_prediction_more_than_half_in_void_is_no_false_positive(true_map: Ids, excused: bool) -> None:
    found = quality([[1, 1, 1, 1]], {1: CAT}, true_map, {7: GRASS}).categories[CAT]
    assert found == CategoryQuality(0, 0 if excused else 1, 0)


def test_a_crowd_is_no_miss_and_excuses_its_own_category_only() -> None:
    result = quality([[1, 1, 2, 2]], {1: CAT, 2: DOG}, [[7, 7, 7, 7]], {7: CAT}, crowd=(7,))
    assert not result.categories[CAT].occurs, "neither matched nor wrong nor missed"
    assert result.categories[DOG] == CategoryQuality(0, 1, 0)


def test_void_and_crowd_together_excuse_a_prediction() -> None:
    found = quality([[1, 1, 1, 1]], {1: CAT}, [[0, 7, 8, 0]], {7: CAT, 8: GRASS}, crowd=(7,)).categories[CAT]
    assert found == CategoryQuality()


def test_of_several_crowds_of_a_category_the_last_listed_one_excuses() -> None:
    maps = [[1, 1, 1, 1]], {1: CAT}, [[7, 7, 7, 8]]
    assert quality(*maps, {8: CAT, 7: CAT}, crowd=(7, 8)).categories[CAT].false_positives == 0
    assert quality(*maps, {7: CAT, 8: CAT}, crowd=(7, 8)).categories[CAT].false_positives == 1


@pytest.mark.parametrize("area", [None, 0, 3, -1])
def test_the_area_is_that_of_the_map_whatever_is_stated(area: int | None) -> None:
    counted = PanopticQuality([CAT], [])
    counted.add(np.array([[1, 1, 0]]), {1: CAT}, np.array([[5, 5, 5]]), [TrueSegment(5, CAT, area)])
    assert counted.result().categories[CAT].iou_sum == pytest.approx(2 / 3)


def test_many_segments_listed_twice_are_named_in_short() -> None:
    counted = PanopticQuality([CAT], [])
    twice = [TrueSegment(number, CAT) for number in range(1, 50_001)] * 2
    with pytest.raises(ValueError, match=r"segment ids 1, 2, .*, 20 and 49980 more are listed twice"):
        counted.add(np.zeros((2, 3), np.uint16), {}, np.zeros((2, 3), np.uint16), twice)


def test_other_categories_of_the_truth_are_neither_hit_nor_missed_but_no_excuse() -> None:
    counted = PanopticQuality([CAT], [])
    counted.add(np.array([[1, 1]]), {1: CAT}, np.array([[5, 5]]), [TrueSegment(5, 99, 2)])
    assert counted.result().categories == {CAT: CategoryQuality(0, 1, 0)}


def test_an_empty_image_and_no_image_have_no_quality() -> None:
    counted = PanopticQuality([CAT], [GRASS])
    assert counted.result().all.pq is None
    counted.add(np.zeros((4, 3), np.uint16), {}, np.zeros((4, 3), np.uint32), [])
    result = counted.result()
    assert (result.all.pq, result.stuff.rq, result.all.num_categories) == (None, None, 0)


def test_sums_run_over_all_images() -> None:
    counted = PanopticQuality([CAT], [])
    perfect = np.array([[1, 1]]), {1: CAT}, np.array([[5, 5]]), [TrueSegment(5, CAT, 2)]
    counted.add(*perfect)
    counted.add(np.array([[0, 0]]), {}, *perfect[2:])
    found = counted.result().categories[CAT]
    assert (found.true_positives, found.false_negatives, found.pq) == (1, 1, 1 / 1.5)


@pytest.mark.parametrize(
    ("predicted_map", "predicted", "true_map", "truth", "text"),
    [
        ([[4, 9]], {4: CAT}, [[0, 0]], {}, "prediction: segment ids 9 are in the map"),
        ([[4, 4]], {4: CAT, 9: CAT}, [[0, 0]], {}, "prediction: segment ids 9 are in the list"),
        ([[0, 0]], {}, [[4, 9]], {4: CAT}, "ground truth: segment ids 9 are in the map"),
        ([[0, 0]], {}, [[4, 4]], {9: CAT, 4: CAT}, "ground truth: segment ids 9 are in the list"),
        ([[1, 1]], {1: 99}, [[0, 0]], {}, "category ids 99 are not among"),
        ([[1, 1]], {0: CAT, 1: CAT}, [[0, 0]], {}, "0, which is void"),
        ([[0, 0, 0]], {}, [[0, 0]], {}, r"\(1, 3\), the ground truth \(1, 2\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused_by_id(
    predicted_map: Ids, predicted: dict[int, int], true_map: Ids, truth: dict[int, int], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        quality(predicted_map, predicted, true_map, truth)


def test_an_image_that_is_refused_leaves_the_sums_as_they_are() -> None:
    counted = PanopticQuality([CAT], [])
    with pytest.raises(ValueError, match="segment ids 2 "):
        counted.add(np.array([[1, 2]]), {1: CAT}, np.array([[5, 5]]), [TrueSegment(5, CAT, 2)])
    assert not counted.result().categories[CAT].occurs


def plain_counts(
    predicted_map: np.ndarray, predicted: dict[int, int], true_map: np.ndarray, truth: list[TrueSegment]
) -> dict[int, CategoryQuality]:
    """Compute the published definition, mask by mask."""
    counts = {category: [0, 0, 0, 0.0] for category in (CAT, DOG, GRASS, SKY)}
    matched_truth, matched_predictions = set(), set()
    void = true_map == 0
    for segment in truth:
        for predicted_id, category in predicted.items():
            mask, true_mask = predicted_map == predicted_id, true_map == segment.id
            iou = (mask & true_mask).sum() / ((mask & ~void) | true_mask).sum()
            if category == segment.category_id and not segment.is_crowd and iou > 0.5:
                counts[category][0] += 1
                counts[category][3] += iou
                matched_truth.add(segment.id)
                matched_predictions.add(predicted_id)
    for segment in truth:
        if segment.id not in matched_truth and not segment.is_crowd:
            counts[segment.category_id][2] += 1
    for predicted_id, category in predicted.items():
        crowds = [segment.id for segment in truth if segment.is_crowd and segment.category_id == category]
        ignored = void | (true_map == crowds[-1]) if crowds else void
        mask = predicted_map == predicted_id
        if predicted_id not in matched_predictions and not (mask & ignored).sum() / mask.sum() > 0.5:
            counts[category][1] += 1
    return {category: CategoryQuality(*values) for category, values in counts.items()}


SMALL_MAPS = st.lists(st.integers(0, 5), min_size=12, max_size=12).map(
    lambda ids: np.array(ids).reshape(3, 4)
)


@settings(max_examples=300, deadline=None)
@given(SMALL_MAPS, SMALL_MAPS, st.data())
def test_the_counts_are_those_of_the_plain_definition(
    predicted_map: np.ndarray, true_map: np.ndarray, data: st.DataObject
) -> None:
    category = st.sampled_from([CAT, DOG, GRASS])
    predicted = {i: data.draw(category) for i in np.unique(predicted_map).tolist() if i}
    listed = data.draw(st.permutations([i for i in np.unique(true_map).tolist() if i]))
    truth = [
        TrueSegment(i, data.draw(category), int((true_map == i).sum()), data.draw(st.booleans()))
        for i in listed
    ]
    counted = PanopticQuality([CAT, DOG], [GRASS, SKY])
    counted.add(predicted_map, predicted, true_map, truth)
    found = counted.result().categories
    for wanted_category, wanted in plain_counts(predicted_map, predicted, true_map, truth).items():
        one = found[wanted_category]
        assert one.true_positives == wanted.true_positives
        assert one.false_positives == wanted.false_positives
        assert one.false_negatives == wanted.false_negatives
        assert one.iou_sum == pytest.approx(wanted.iou_sum)


@pytest.mark.skipif(not PANOPTIC.is_dir(), reason="../shared/data/panoptic is not here")
@pytest.mark.parametrize("side", ["pred", "gt"])
def test_the_numbers_are_those_of_panopticapi(side: str) -> None:
    truth = json.loads((PANOPTIC / "gt.json").read_text())
    predictions = json.loads((PANOPTIC / f"{side}.json").read_text())
    expected = json.loads((PANOPTIC / "expected_pq.json").read_text())
    things = [category["id"] for category in truth["categories"] if category["isthing"]]
    stuff = [category["id"] for category in truth["categories"] if not category["isthing"]]
    predicted_of = {annotation["image_id"]: annotation for annotation in predictions["annotations"]}
    counted = PanopticQuality(things, stuff)
    for annotation in truth["annotations"]:
        predicted = predicted_of[annotation["image_id"]]
        counted.add(
            segment_map(PANOPTIC / side / predicted["file_name"]),
            {segment["id"]: segment["category_id"] for segment in predicted["segments_info"]},
            segment_map(PANOPTIC / "gt" / annotation["file_name"]),
            [
                TrueSegment(info["id"], info["category_id"], info["area"], bool(info["iscrowd"]))
                for info in annotation["segments_info"]
            ],
        )
    result = counted.result()
    means = expected["pred" if side == "pred" else "gt_vs_gt"]
    for mean, name in ((result.all, "All"), (result.things, "Things"), (result.stuff, "Stuff")):
        assert mean.num_categories == means[name]["n"]
        assert (mean.pq, mean.sq, mean.rq) == pytest.approx([means[name][key] for key in ("pq", "sq", "rq")])
    if side == "pred":
        for category, wanted in expected["per_class_pred"].items():
            one = result.categories[int(category)]
            assert (one.pq, one.sq, one.rq) == pytest.approx(
                (wanted["pq"], wanted["sq"], wanted["rq"]), abs=1e-12
            )


def segment_map(path: Path) -> np.ndarray:
    colours = np.array(Image.open(path), np.uint32)
    return colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
