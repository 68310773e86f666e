# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Results under the user's groups: classes renamed, stuff joined, one object where there were two names."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seg_node.class_groups import NO_CLASS, group_classes
from seg_node.groups_file import GroupRules
from seg_node.inference.check_result import BadResult, check_segmentation
from seg_node.masks.crop import tight_roi
from seg_node.masks.overlap import bounds_xyxy
from seg_node.masks.panoptic import fuse_panoptic
from seg_node.models.assemble.regroup import regroup
from seg_node.types import (
    Instances,
    LabelSet,
    MaskCrop,
    PanopticSegments,
    Roi,
    Segment,
    Segmentation,
    SegmentOptions,
)

PERSON, CUP, BOWL, CHAIR, FLOOR, RUG, SKY = range(7)
LABELS = LabelSet(
    {PERSON: "person", CUP: "cup", BOWL: "bowl", CHAIR: "chair"}, {FLOOR: "floor", RUG: "rug", SKY: "sky"}
)
DISH, GROUND = 11, 12
GROUPS = group_classes(
    GroupRules(
        {"dish": ["cup", "bowl"], "ground": ["floor", "rug"]},
        ["person"],
        ids={"dish": DISH, "ground": GROUND},
    ),
    LABELS,
)
SIZE = (20, 30)
OPTIONS = SegmentOptions(score_threshold=0.0, panoptic_score_threshold=0.0, panoptic_stuff_min_area=0)


def square(x: int, y: int, side: int = 10) -> MaskCrop:
    return MaskCrop(x, y, np.ones((side, side), bool))


def instances(*objects: tuple[int, MaskCrop]) -> Instances:
    """Build instances with falling scores."""
    return Instances(
        bounds_xyxy([mask for _, mask in objects]).astype(np.float32),
        np.linspace(0.9, 0.5, len(objects)).astype(np.float32),
        np.array([class_id for class_id, _ in objects], np.int32),
        tuple(mask for _, mask in objects),
        np.arange(1, len(objects) + 1, dtype=np.uint32),
    )


def found(
    objects: Instances, semantic: NDArray[np.integer] | None = None, options: SegmentOptions = OPTIONS
) -> Segmentation:
    return Segmentation(SIZE, objects, fuse_panoptic(objects, semantic, SIZE, LABELS, options))


def test_dropped_objects_go_and_ids_start_at_1() -> None:
    result = regroup(
        found(instances((CHAIR, square(0, 0)), (PERSON, square(10, 0)), (BOWL, square(20, 10)))),
        GROUPS,
        OPTIONS,
    )
    assert result.instances.class_ids.tolist() == [CHAIR, DISH]
    assert result.instances.ids.tolist() == [1, 2]
    assert result.instances.scores.tolist() == pytest.approx([0.9, 0.5])
    assert result.panoptic is not None
    assert [(s.id, s.class_id, s.instance_id) for s in result.panoptic.segments] == [(1, 3, 1), (2, DISH, 2)]
    expected = np.zeros(SIZE, np.uint16)
    expected[:10, :10] = 1
    expected[10:, 20:] = 2
    np.testing.assert_array_equal(result.panoptic.segment_map, expected)


def test_a_cup_and_a_bowl_at_one_place_are_one_dish() -> None:
    # shifted by 2 of 10 pixels: IoU 80 / 120 = 0.67; by 4: 60 / 140 = 0.43
    objects = instances((BOWL, square(0, 0)), (CUP, square(2, 0)), (CUP, square(0, 4)))
    result = regroup(Segmentation(SIZE, objects), GROUPS, OPTIONS).instances
    assert [(mask.x_offset, mask.y_offset) for mask in result.masks] == [(0, 0), (0, 4)]
    assert result.class_ids.tolist() == [DISH, DISH] and result.ids.tolist() == [1, 2]
    every = regroup(Segmentation(SIZE, objects), GROUPS, replace(OPTIONS, nms_threshold=0.7)).instances
    assert len(every) == 3


def test_objects_of_one_class_or_of_two_groups_stay_as_the_model_left_them() -> None:
    places = [(CUP, square(0, 0)), (CUP, square(0, 0)), (CHAIR, square(0, 0)), (BOWL, square(15, 8))]
    result = regroup(Segmentation(SIZE, instances(*places)), GROUPS, OPTIONS).instances
    assert result.class_ids.tolist() == [DISH, DISH, CHAIR, DISH]


def test_the_segment_of_a_second_name_becomes_the_first_ones() -> None:
    # the bowl's segment has the 20 pixels that the cup leaves; a chair lies between them in the list
    objects = instances((CUP, square(0, 0)), (CHAIR, square(15, 5)), (BOWL, square(2, 0)))
    model = replace(OPTIONS, panoptic_overlap_threshold=1.0)
    result = regroup(found(objects, None, model), GROUPS, OPTIONS)
    assert result.panoptic is not None and result.instances.ids.tolist() == [1, 2]
    assert result.panoptic.segments == (
        Segment(1, DISH, True, result.panoptic.segments[0].score, 120, Roi(0, 0, 12, 10), 1),
        Segment(2, CHAIR, True, result.panoptic.segments[1].score, 100, Roi(15, 5, 10, 10), 2),
    )
    assert result.panoptic.segments[0].score == pytest.approx(0.9)
    assert (result.panoptic.segment_map[:10, :12] == 1).all()


def stuff() -> NDArray[np.int32]:
    semantic = np.full(SIZE, SKY, np.int32)
    semantic[10:15, :20] = FLOOR
    semantic[18:, 25:] = RUG
    return semantic


def test_stuff_of_one_group_is_one_segment() -> None:
    result = regroup(found(instances((CUP, square(0, 12, 4))), stuff()), GROUPS, OPTIONS)
    assert result.panoptic is not None
    assert result.panoptic.segments == (
        Segment(1, DISH, True, pytest.approx(0.9), 16, Roi(0, 12, 4, 4), 1),  # type: ignore[arg-type]
        Segment(2, GROUND, False, 0.0, 100 - 12 + 10, Roi(0, 10, 30, 10), 0),
        Segment(3, SKY, False, 0.0, 600 - 100 - 10 - 4, Roi(0, 0, 30, 20), 0),
    )


@pytest.mark.parametrize(("least", "kept"), [(110, [GROUND, SKY]), (111, [SKY]), (601, [])])
def test_the_least_area_of_stuff_is_that_of_the_group(least: int, kept: list[int]) -> None:
    result = regroup(
        found(Instances.empty(), stuff()), GROUPS, replace(OPTIONS, panoptic_stuff_min_area=least)
    )
    assert result.panoptic is not None
    assert [segment.class_id for segment in result.panoptic.segments] == kept
    assert np.unique(result.panoptic.segment_map).tolist() == [
        *([0] if len(kept) < 2 else []),
        *range(1, len(kept) + 1),
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_few_objects_and_no_panoptic_map(count: int) -> None:
    result = regroup(
        Segmentation(SIZE, instances((CUP, square(0, 0))).select(np.arange(count))), GROUPS, OPTIONS
    )
    assert len(result.instances) == count and result.panoptic is None
    empty = regroup(found(Instances.empty()), GROUPS, OPTIONS)
    assert empty.panoptic is not None and empty.panoptic.segments == ()


def test_renaming_alone_leaves_the_map_in_place() -> None:
    before = found(instances((CUP, square(0, 0))), None)
    after = regroup(before, GROUPS, OPTIONS)
    assert before.panoptic is not None and after.panoptic is not None
    assert after.panoptic.segment_map is before.panoptic.segment_map


def test_a_map_of_many_segments_is_joined() -> None:
    segment_map = np.arange(600, dtype=np.uint16).reshape(SIZE)
    classes = [CHAIR] * 598 + [PERSON]
    segments = [
        Segment(i, class_id, True, 0.5, 1, Roi(i % 30, i // 30, 1, 1), 0)
        for i, class_id in enumerate(classes, start=1)
    ]
    before = Segmentation(SIZE, Instances.empty(), PanopticSegments(segment_map, tuple(segments)))
    after = regroup(before, GROUPS, OPTIONS).panoptic
    assert after is not None and len(after.segments) == 598
    expected = segment_map.copy()
    expected[-1, -1] = 0
    np.testing.assert_array_equal(after.segment_map, expected)
    assert after.segment_map.dtype == np.uint16


def test_a_class_beyond_the_checkpoints_is_still_refused() -> None:
    objects = instances((CUP, square(0, 0)), (7, square(10, 0)))
    result = regroup(Segmentation(SIZE, objects), GROUPS, OPTIONS)
    assert result.instances.class_ids.tolist() == [DISH, NO_CLASS]
    with pytest.raises(BadResult, match="the labels end at class 12"):
        check_segmentation(result, GROUPS.labels)


def plain(before: Segmentation, options: SegmentOptions) -> tuple[NDArray[np.int32], list[int]]:
    """Return the class of every pixel of the panoptic map, -1 void, and the objects kept, one by one."""
    new = {CUP: DISH, BOWL: DISH, CHAIR: CHAIR, FLOOR: GROUND, RUG: GROUND, SKY: SKY}
    assert before.panoptic is not None
    classes = np.full(SIZE, -1, np.int32)
    for segment in before.panoptic.segments:
        classes[before.panoptic.segment_map == segment.id] = new.get(segment.class_id, -1)
    for class_id in (GROUND, SKY):
        if (classes == class_id).sum() < options.panoptic_stuff_min_area:
            classes[classes == class_id] = -1
    kept: list[int] = []
    full = []
    for mask in before.instances.masks:
        image = np.zeros(SIZE, bool)
        image[mask.roi.slices] = mask.pixels
        full.append(image)
    for i, class_id in enumerate(before.instances.class_ids.tolist()):
        rivals = [
            k
            for k in kept
            if {class_id, int(before.instances.class_ids[k])} == {CUP, BOWL}
            and (full[i] & full[k]).sum() > options.nms_threshold * (full[i] | full[k]).sum()
        ]
        if class_id != PERSON and not rivals:
            kept.append(i)
    return classes, kept


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from([PERSON, CUP, BOWL, CHAIR]), st.integers(0, 18), st.integers(0, 8))),
    st.lists(st.sampled_from([0, FLOOR, RUG, SKY]), min_size=6, max_size=6),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.sampled_from([0, 60, 150]),
)
def test_every_result_agrees_with_a_plain_reference(
    objects: list[tuple[int, int, int]], columns: list[int], iou: float, least: int
) -> None:
    semantic = np.repeat(np.array(columns, np.int32), 5)[None].repeat(SIZE[0], 0)
    options = replace(OPTIONS, nms_threshold=iou, panoptic_stuff_min_area=least)
    before = found(instances(*((c, square(x, y)) for c, x, y in objects)), semantic)
    after = regroup(before, GROUPS, options)
    classes, kept = plain(before, options)
    assert after.panoptic is not None
    assert all(m is before.instances.masks[i] for m, i in zip(after.instances.masks, kept, strict=True))
    assert after.instances.ids.tolist() == list(range(1, len(kept) + 1))
    painted = np.full(SIZE, -1, np.int32)
    for place, segment in enumerate(after.panoptic.segments, start=1):
        mask = after.panoptic.segment_map == segment.id
        painted[mask] = segment.class_id
        assert (segment.id, segment.area, segment.roi) == (place, mask.sum(), tight_roi(mask))
        assert 0 <= segment.instance_id <= len(kept) and (segment.instance_id > 0) == segment.is_thing
    np.testing.assert_array_equal(painted, classes)
    stuff_classes = [s.class_id for s in after.panoptic.segments if not s.is_thing]
    assert len(stuff_classes) == len(set(stuff_classes))
    check_segmentation(after, GROUPS.labels)
