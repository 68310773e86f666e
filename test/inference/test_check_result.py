# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Results of a model that are accepted, and those refused at their first invalid number."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from seg_node.inference.check_result import BadResult, check_segmentation
from seg_node.labels import COCO_THINGS
from seg_node.types import Instances, LabelSet, MaskCrop, PanopticSegments, Roi, Segment, Segmentation

HEIGHT, WIDTH = 40, 60
LABELS = LabelSet({1: "cup", 2: "can"}, {3: "table"})
NAN, INF = float("nan"), float("inf")


def instances(count: int) -> Instances:
    """Return instances that fill the image's last corner; the last one has no visible pixel."""
    masks = [MaskCrop(WIDTH - 20, HEIGHT - 10, np.ones((10, 20), np.bool_))] * count
    masks[-1:] = [MaskCrop.empty()] * bool(count)
    return Instances(
        np.tile(np.array([[40, 30, 60, 40]], np.float32), (count, 1)),
        np.linspace(1, 0, count, dtype=np.float32),
        np.full(count, 2, np.int32),
        tuple(masks),
        np.arange(1, count + 1, dtype=np.uint32),
    )


def panoptic(**fields: Any) -> PanopticSegments:
    segment = replace(Segment(1, 3, False, 0.0, 9, Roi(0, 0, 3, 3), 0), **fields)
    return PanopticSegments(np.zeros((HEIGHT, WIDTH), np.uint16), (segment,))


def result(found: Instances, segments: PanopticSegments | None = None) -> Segmentation:
    return Segmentation((HEIGHT, WIDTH), found, segments)


@pytest.mark.parametrize("count", [0, 1, 100])
@pytest.mark.parametrize("labels", [LABELS, LabelSet({}), COCO_THINGS])
def test_a_result_that_makes_sense_passes(count: int, labels: LabelSet) -> None:
    check_segmentation(result(instances(count)), labels)
    check_segmentation(result(instances(count), panoptic()), labels)


@pytest.mark.parametrize("place", [0, 4])
@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("scores", NAN, "score nan"),
        ("scores", INF, "score inf"),
        ("scores", -0.5, "score -0.5"),
        ("scores", 12.0, "score 12.0"),
        ("boxes_xyxy", [NAN, 0, 1, 1], "box .nan"),
        ("boxes_xyxy", [0, 0, 1, INF], "box .*inf"),
        ("boxes_xyxy", [-INF, 0, 1, 1], "box .*inf"),
        ("boxes_xyxy", [5, 0, 4, 1], "box"),
        ("boxes_xyxy", [0, 5, 1, 4], "box"),
        ("class_ids", -1, "class -1"),
        ("class_ids", 4, "class 4"),
    ],
)
def test_a_number_that_is_none_is_refused_with_its_place(
    column: str, value: object, named: str, place: int
) -> None:
    found = instances(5)
    getattr(found, column)[place] = value
    with pytest.raises(BadResult, match=f"{named}.*, of result {place + 1} of 5") as caught:
        check_segmentation(result(found), LABELS)
    assert caught.value.reason == "bad_result"


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -1), (WIDTH - 19, 0), (0, HEIGHT - 9)])
def test_a_mask_beyond_the_image_is_refused(x: int, y: int) -> None:
    found = instances(2)
    masks = (MaskCrop(x, y, np.ones((10, 20), np.bool_)), found.masks[1])
    with pytest.raises(BadResult, match=r"mask .*result 1 of 2.*60x40"):
        check_segmentation(result(replace(found, masks=masks)), LABELS)


@pytest.mark.parametrize("column", ["scores", "boxes_xyxy", "class_ids", "ids"])
def test_columns_of_other_lengths_are_refused(column: str) -> None:
    found = instances(3)
    with pytest.raises(BadResult, match="3 masks"):
        check_segmentation(result(replace(found, **{column: getattr(found, column)[:2]})), LABELS)


@pytest.mark.parametrize("fields", [{"score": NAN}, {"score": -INF}, {"class_id": -1}, {"class_id": 4}])
def test_a_segment_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadResult, match="segment"):
        check_segmentation(result(instances(1), panoptic(**fields)), LABELS)


def test_a_panoptic_map_of_another_image_is_refused() -> None:
    turned = replace(panoptic(), segment_map=np.zeros((WIDTH, HEIGHT), np.uint16))
    with pytest.raises(BadResult, match=r"\(60, 40\)"):
        check_segmentation(result(instances(1), turned), LABELS)
