# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Ids of objects whose movement is known."""

import threading
import time
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_node.masks.overlap import intersection_areas, mask_ious
from seg_node.track import MAX_UNSEEN, Tracker, TrackOptions, with_ids
from seg_node.types import Instances, MaskCrop, PanopticSegments, Roi, Segment, Segmentation

PERIOD_MS = 100
OPTIONS = TrackOptions()
CUP, CAN = 3, 6


def square(x: int, y: int = 50, side: int = 20) -> MaskCrop:
    return MaskCrop(x, y, np.ones((side, side), np.bool_))


def columns(left: int, right: int, y: int = 50) -> MaskCrop:
    """A mask of 20 rows, from column left to right - 1."""
    return MaskCrop(left, y, np.ones((20, right - left), np.bool_)) if left < right else MaskCrop.empty()


def frame(*masks: MaskCrop, classes: list[int] | None = None) -> Instances:
    count = len(masks)
    class_ids = np.array(classes or [CUP] * count, np.int32)
    scores, boxes = np.linspace(0.9, 0.5, count, dtype=np.float32), np.zeros((count, 4), np.float32)
    return Instances(boxes, scores, class_ids, masks, np.arange(1, count + 1, dtype=np.uint32))


class Sequence:
    """Frames for one tracker, each PERIOD_MS after the last one unless it has a stamp."""

    def __init__(self, options: TrackOptions = OPTIONS) -> None:
        self.tracker, self.options, self.stamp_ms = Tracker(), options, 5000

    def ids(self, *masks: MaskCrop, classes: list[int] | None = None, after_ms: int = PERIOD_MS) -> list[int]:
        self.stamp_ms += after_ms
        instances = frame(*masks, classes=classes)
        return self.tracker.update(instances, self.stamp_ms * 10**6, self.options).ids.tolist()


def test_ids_count_from_one_and_stay_with_their_objects_in_any_order() -> None:
    sequence = Sequence()
    assert sequence.ids(square(10), square(100), square(200)) == [1, 2, 3]
    assert sequence.ids(square(203), square(12), square(99)) == [3, 1, 2]
    assert sequence.ids(square(14), square(300), square(97)) == [1, 4, 2]


def test_only_the_ids_change() -> None:
    instances = frame(square(10), square(100), classes=[CUP, CAN])
    tracked = Tracker().update(instances, 0, OPTIONS)
    assert tracked.ids.dtype == np.uint32
    for field in fields(Instances):
        if field.name != "ids":
            assert getattr(tracked, field.name) is getattr(instances, field.name)


@pytest.mark.parametrize(("shift", "same"), [(6, True), (7, False)])
def test_masks_that_overlap_less_than_min_iou_are_other_objects(shift: int, same: bool) -> None:
    sequence = Sequence(TrackOptions(min_iou=0.5))
    sequence.ids(square(10))
    # Two squares of side 20: IoU = (20 - shift) / (20 + shift), 0.538 and 0.481.
    assert sequence.ids(square(10 + shift)) == ([1] if same else [2])


@pytest.mark.parametrize(("hidden_ms", "expected"), [(1900, [1]), (2000, [1]), (2001, [2])])
def test_an_object_is_recognised_within_max_age(hidden_ms: int, expected: list[int]) -> None:
    sequence = Sequence(TrackOptions(max_age_s=2.0))
    sequence.ids(square(10))
    assert sequence.ids(square(10), after_ms=hidden_ms) == expected


@pytest.mark.parametrize(("frames", "same"), [(19, True), (20, False)])
def test_an_object_that_is_missing_in_some_frames_keeps_its_id(frames: int, same: bool) -> None:
    sequence = Sequence()
    sequence.ids(square(10), square(300))
    for _ in range(frames):
        assert sequence.ids(square(300)) == [2]
    assert sequence.ids(square(10), square(300)) == [1 if same else 3, 2]


def test_a_moving_object_is_expected_where_it_would_be() -> None:
    sequence = Sequence()
    for number in range(6):  # 10 px per frame
        assert sequence.ids(square(10 + 10 * number, 50 - 2 * number)) == [1]
    assert sequence.ids(square(110, 30), after_ms=500) == [1]
    assert sequence.ids(square(60, 40)) == [2]


def test_an_object_that_only_grows_is_expected_where_it_is() -> None:
    sequence = Sequence()
    for grown in range(0, 20, 4):
        assert sequence.ids(square(50 - grown, 50 - grown, 20 + 2 * grown)) == [1]
    assert sequence.ids(square(34, 34, 52), after_ms=1900) == [1]


def test_crossing_objects_keep_their_ids() -> None:
    """One moves right in front of its twin that moves left, which disappears and reappears elsewhere."""
    sequence, found = Sequence(), []
    for number in range(30):
        front, back = 40 + 4 * number, 160 - 4 * number
        hidden = (
            columns(max(back, front + 20), back + 20)
            if back >= front
            else columns(back, min(back + 20, front))
        )
        seen = [square(front)] + ([hidden] if hidden.area else [])
        found.append(sequence.ids(*seen))
    assert found[0] == found[-1] == [1, 2]
    assert [1] in found and all(ids in ([1], [1, 2]) for ids in found)


def test_an_object_that_a_hand_passes_over_keeps_its_id() -> None:
    """Its last visible part is on the right, its first reappearing part on the left."""
    sequence, found = Sequence(), []
    for hand in range(0, 80, 8):  # 26 columns wide, over an object in columns 30 to 49
        left, right = columns(30, min(50, hand)), columns(max(30, hand + 26), 50)
        found += sequence.ids(*(part for part in (left, right) if part.area))
    assert set(found) == {1} and len(found) < 10


def test_two_alike_objects_side_by_side_keep_their_ids() -> None:
    rng, sequence = np.random.default_rng(0), Sequence()
    for number in range(50):
        left, right = square(10 + int(rng.integers(-3, 4))), square(30 + int(rng.integers(-3, 4)))
        if number % 2:
            assert sequence.ids(right, left) == [2, 1]
        else:
            assert sequence.ids(left, right) == [1, 2]


def test_a_change_of_class_keeps_the_id_unless_forbidden() -> None:
    for penalty, expected in ((0.1, [1, 1, 1]), (1.0, [1, 2, 1])):
        sequence = Sequence(TrackOptions(class_penalty=penalty))
        found = [sequence.ids(square(10), classes=[class_id])[0] for class_id in (CUP, CAN, CUP)]
        assert found == expected


def test_two_classes_of_one_object_keep_an_id_each() -> None:
    sequence = Sequence()
    assert sequence.ids(square(10), square(11), classes=[CUP, CAN]) == [1, 2]
    assert sequence.ids(square(11), square(10), classes=[CAN, CUP]) == [2, 1]
    assert sequence.ids(square(10), classes=[CAN]) == [2]
    assert sequence.ids(square(10), square(10), classes=[CUP, CAN]) == [1, 2]


def test_empty_frames_are_empty_and_forget_nothing() -> None:
    sequence = Sequence()
    assert sequence.ids() == []
    assert sequence.ids(square(10)) == [1]
    assert sequence.ids() == []
    assert sequence.ids(square(10), MaskCrop.empty()) == [1, 2]
    assert sequence.ids(square(10), MaskCrop.empty()) == [1, 3]  # its place is unknown


def test_after_a_reset_all_ids_are_new() -> None:
    sequence = Sequence()
    assert sequence.ids(square(10), square(100)) == [1, 2]
    sequence.tracker.reset()
    assert sequence.ids(square(10), square(100)) == [3, 4]
    assert sequence.ids(square(100)) == [4]


def test_a_reset_may_come_from_another_thread_at_any_time() -> None:
    sequence, stop = Sequence(), threading.Event()

    def reset_always() -> None:
        while not stop.is_set():
            sequence.tracker.reset()

    thread = threading.Thread(target=reset_always)
    thread.start()
    try:
        found = [sequence.ids(square(10), square(100)) for _ in range(300)]
        end = time.monotonic() + 10
        while found[-1] == found[0] and time.monotonic() < end:  # until the other thread has run
            found.append(sequence.ids(square(10), square(100)))
    finally:
        stop.set()
        thread.join()
    assert all(a < b for a, b in found) and found[-1] > found[0]


def test_a_stamp_before_the_last_starts_a_new_sequence_and_an_equal_one_does_not() -> None:
    sequence = Sequence()
    assert sequence.ids(square(10)) == [1]
    assert sequence.ids(square(12), after_ms=0) == [1]
    assert sequence.ids(square(10), after_ms=-1) == [2]
    assert sequence.ids(square(10)) == [2]


def test_segments_of_the_panoptic_map_follow() -> None:
    instances = replace(frame(square(10), square(40)), ids=np.array([1, 2], np.uint32))
    things = [Segment(i, CUP, True, 0.9, 400, Roi(), i) for i in (2, 1)]
    table, crowd = Segment(3, 40, False, 0.0, 900, Roi(), 0), Segment(4, CUP, True, 0.5, 9, Roi(), 0)
    panoptic = PanopticSegments(np.zeros((80, 80), np.uint16), (*things, table, crowd))
    stages = {"infer": 3.0}
    found = with_ids(Segmentation((80, 80), instances, panoptic, stages), np.array([7, 1], np.uint32))
    assert found.instances.ids.tolist() == [7, 1]
    assert found.panoptic is not None and found.panoptic.segment_map is panoptic.segment_map
    assert [segment.instance_id for segment in found.panoptic.segments] == [1, 7, 0, 0]
    assert [segment.id for segment in found.panoptic.segments] == [2, 1, 3, 4]
    assert found.stage_ms == stages
    without = with_ids(Segmentation((80, 80), instances), np.array([7, 1], np.uint32))
    assert without.panoptic is None and without.instances.ids.tolist() == [7, 1]


SIZE = 24


@st.composite
def crops(draw: st.DrawFn) -> MaskCrop:
    """Draw a random mask in an image of SIZE x SIZE, possibly empty."""
    height, width = draw(st.integers(0, 12)), draw(st.integers(1, 12))
    if height == 0:
        return MaskCrop.empty()
    pixels = np.random.default_rng(draw(st.integers(0, 2**32))).random((height, width)) < 0.7
    return MaskCrop(draw(st.integers(0, SIZE - width)), draw(st.integers(0, SIZE - height)), pixels)


def whole(crop: MaskCrop) -> np.ndarray:
    image = np.zeros((SIZE, SIZE), np.bool_)
    height, width = crop.pixels.shape
    image[crop.y_offset : crop.y_offset + height, crop.x_offset : crop.x_offset + width] = crop.pixels
    return image


@settings(max_examples=60, deadline=None)
@given(st.lists(crops(), max_size=5), st.lists(crops(), max_size=5))
def test_overlap_is_that_of_the_whole_masks(first: list[MaskCrop], second: list[MaskCrop]) -> None:
    shared = intersection_areas(first, second)
    areas = [np.array([crop.area for crop in some], np.int64) for some in (first, second)]
    ious = mask_ious(shared, *areas)
    assert shared.shape == ious.shape == (len(first), len(second))
    for i, a in enumerate(map(whole, first)):
        for j, b in enumerate(map(whole, second)):
            assert shared[i, j] == (a & b).sum()
            assert ious[i, j] == pytest.approx((a & b).sum() / max((a | b).sum(), 1))


FRAMES = st.lists(
    st.tuples(st.integers(-300, 1500), st.lists(st.tuples(crops(), st.integers(0, 2)), max_size=6)),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(FRAMES, st.sampled_from([TrackOptions(), TrackOptions(0.0, 0.0, 0.0), TrackOptions(1.0, 1.0, 10.0)]))
def test_every_instance_has_an_id_of_its_own(
    frames: list[tuple[int, list[tuple[MaskCrop, int]]]], options: TrackOptions
) -> None:
    sequence = Sequence(options)
    for step_ms, objects in frames:
        masks, classes = [mask for mask, _ in objects], [class_id for _, class_id in objects]
        ids = sequence.ids(*masks, classes=classes, after_ms=step_ms)
        assert len(ids) == len(set(ids)) == len(objects) and all(number > 0 for number in ids)


@pytest.mark.parametrize("step_ns", [0, 1, 10**6])
@pytest.mark.parametrize("first_ns", [0, 5 * 10**9])
def test_objects_are_forgotten_when_stamps_stand_still_or_hardly_move(
    first_ns: int, step_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[int] = []

    def counted(first: list[MaskCrop], second: list[MaskCrop]) -> np.ndarray:
        known.append(len(first))
        return intersection_areas(first, second)

    monkeypatch.setattr("seg_node.track.intersection_areas", counted)
    tracker = Tracker()
    for number in range(200):  # every frame shows five new objects in different places
        masks = [square(30 * (5 * number + i)) for i in range(5)]
        tracker.update(frame(*masks), first_ns + number * step_ns, OPTIONS)
    assert max(known) <= 5 + MAX_UNSEEN < 5 * 199


def test_all_objects_of_the_last_frame_are_kept() -> None:
    sequence, count = Sequence(), 2 * MAX_UNSEEN
    masks = [square(30 * i) for i in range(count)]
    assert sequence.ids(*masks) == sequence.ids(*masks) == list(range(1, count + 1))
    assert sequence.ids(*masks[:1]) == [1]
    seen_last, seen_before = square(0), masks[1:]
    found = sequence.ids(seen_last, *seen_before)
    assert found[0] == 1
    assert sum(number <= count for number in found) == MAX_UNSEEN + 1


def test_an_image_without_a_stamp_among_others_ends_no_track() -> None:
    tracker = Tracker()
    for stamp_ns in (5 * 10**9, 0, 5 * 10**9 + 10**8, 0, -(10**9), 5 * 10**9 + 2 * 10**8):
        assert tracker.update(frame(square(10)), stamp_ns, OPTIONS).ids.tolist() == [1]


def test_a_moving_object_of_images_without_stamps_is_expected_where_it_would_be() -> None:
    tracker = Tracker()
    for number in range(11):  # 9 px per frame; hidden from the sixth to the ninth
        masks = [] if 6 <= number < 10 else [square(10 + 9 * number)]
        ids = tracker.update(frame(*masks), 0, OPTIONS).ids.tolist()
        assert ids == [1] * len(masks)


def test_ids_stay_within_a_markers_int32() -> None:
    sequence = Sequence()
    sequence.tracker._last_id = 2**31 - 2
    assert sequence.ids(square(10), square(100)) == [2**31 - 1, 1]


def test_renumbered_classes_keep_their_objects_and_others_are_forgotten() -> None:
    sequence = Sequence(TrackOptions(class_penalty=1.0))  # a change of class would end a track
    assert sequence.ids(square(10), square(100), square(200), classes=[0, 1, 2]) == [1, 2, 3]
    sequence.tracker.renumber({0: 2, 2: 0})
    assert sequence.ids(square(10), square(100), square(200), classes=[2, 1, 0]) == [1, 4, 3]
