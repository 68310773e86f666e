# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from random_scene import instances_of, random_scene

from seg_node.masks.label_images import class_map, confidence_map, encode_png, instance_map, resample
from seg_node.masks.panoptic import fuse_panoptic
from seg_node.types import LabelSet, PanopticSegments, Roi, Segment, SegmentOptions

LABELS = LabelSet({1: "person", 44: "bottle", 300: "far"}, {118: "floor", 187: "wall", 400: "far stuff"})
OPTIONS = SegmentOptions(score_threshold=0.05, panoptic_stuff_min_area=4)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_instance_map_numbers_instances_and_the_highest_score_wins(count):
    masks, scores, class_ids, _ = random_scene(np.random.default_rng(count), count)
    expected = np.zeros((23, 41), int)
    for i, j in np.ndindex(23, 41):
        covering = np.flatnonzero(masks[:, i, j])
        expected[i, j] = covering[0] + 1 if len(covering) else 0
    result = instance_map(instances_of(masks, scores, class_ids), (23, 41))
    assert result.dtype == np.uint16
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_class_map_without_panoptic_shows_the_best_instance(count):
    masks, scores, class_ids, _ = random_scene(np.random.default_rng(count), count)
    expected = np.full((23, 41), 255)
    for i, j in np.ndindex(23, 41):
        covering = np.flatnonzero(masks[:, i, j])
        if len(covering) and class_ids[covering[0]] != 300:
            expected[i, j] = class_ids[covering[0]]
    result = class_map(instances_of(masks, scores, class_ids), None, (23, 41))
    assert result.dtype == np.uint8
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_class_map_agrees_with_the_panoptic_map(count):
    masks, scores, class_ids, semantic = random_scene(np.random.default_rng(count + 100), count)
    instances = instances_of(masks, scores, class_ids)
    panoptic = fuse_panoptic(instances, semantic, (23, 41), LABELS, OPTIONS)
    result = class_map(instances, panoptic, (23, 41))
    assert result.dtype == np.uint8
    class_of = {segment.id: segment.class_id for segment in panoptic.segments}
    for i, j in np.ndindex(23, 41):
        class_id = class_of.get(panoptic.segment_map[i, j], 255)
        assert result[i, j] == (class_id if class_id < 255 else 255)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_confidence_map_without_panoptic_shows_the_score_of_the_best_instance(count):
    masks, scores, class_ids, _ = random_scene(np.random.default_rng(count), count)
    expected = np.zeros((23, 41), int)
    for i, j in np.ndindex(23, 41):
        covering = np.flatnonzero(masks[:, i, j])
        if len(covering) and class_ids[covering[0]] != 300:
            expected[i, j] = round(255 * float(np.float32(scores[covering[0]])))
    result = confidence_map(instances_of(masks, scores, class_ids), None, (23, 41))
    assert result.dtype == np.uint8
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_confidence_is_zero_exactly_where_the_class_map_is_unlabelled(count):
    masks, scores, class_ids, semantic = random_scene(np.random.default_rng(count + 100), count)
    instances = instances_of(masks, scores, class_ids)
    panoptic = fuse_panoptic(instances, semantic, (23, 41), LABELS, OPTIONS)
    for segments in (None, panoptic):
        classes = class_map(instances, segments, (23, 41))
        confidences = confidence_map(instances, segments, (23, 41))
        assert np.array_equal(confidences == 0, classes == 255)


def test_confidence_of_segments_is_their_score_and_stuff_without_a_score_is_certain():
    segment_map = np.array([[0, 1, 2], [3, 4, 4]], np.uint16)
    whole = Roi(0, 0, 3, 2)
    segments = (
        Segment(1, 44, True, 0.5, 1, whole, 7),
        Segment(2, 118, False, 0.0, 1, whole, 0),
        Segment(3, 187, False, 0.8, 1, whole, 0),
        Segment(4, 300, True, 0.9, 2, whole, 8),  # a class that class_map cannot show
    )
    result = confidence_map(instances_of([], [], []), PanopticSegments(segment_map, segments), (2, 3))
    assert result.tolist() == [[0, 128, 255], [204, 0, 0]]


@pytest.mark.parametrize("size", [(5, 9), (1, 1), (10, 18), (3, 4), (240, 424)])
def test_each_pixel_of_a_resampled_map_has_the_value_at_its_centre(size):
    image = np.random.default_rng(5).integers(0, 256, (5, 9), np.uint8)
    result = resample(image, size)
    assert result.shape == size
    for i, j in np.ndindex(*size):
        # Integer arithmetic: the pixel whose half-open square holds the centre ((i + 0.5) / size).
        assert result[i, j] == image[(2 * i + 1) * 5 // (2 * size[0]), (2 * j + 1) * 9 // (2 * size[1])]


def test_resampling_to_the_same_size_changes_nothing():
    image = np.random.default_rng(6).integers(0, 256, (23, 41), np.uint8)
    assert np.array_equal(resample(image, (23, 41)), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_keeps_every_value(dtype):
    image = np.random.default_rng(7).integers(0, np.iinfo(dtype).max + 1, (23, 41), dtype)
    decoded = cv2.imdecode(encode_png(image), cv2.IMREAD_UNCHANGED)
    assert decoded.dtype == dtype and np.array_equal(decoded, image)
