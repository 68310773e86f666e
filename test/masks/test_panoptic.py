# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_scene import crop_of, instances_of, random_scene

from seg_node.masks.panoptic import fuse_panoptic
from seg_node.types import Instances, LabelSet, Roi, Segment, SegmentOptions

SHARED = Path(__file__).resolve().parents[3] / "shared"
LABELS = LabelSet({1: "person", 44: "bottle", 300: "far"}, {118: "floor", 187: "wall", 400: "far stuff"})
OPTIONS = SegmentOptions(score_threshold=0.05, panoptic_stuff_min_area=4)


def slow_fusion(masks, scores, class_ids, ids, semantic, options):
    """Detectron2's combine_semantic_and_instance_outputs, step by step on full masks."""
    segment_map = np.zeros(semantic.shape, int)
    found = []
    for mask, score, class_id, instance_id in zip(masks, scores, class_ids, ids, strict=True):
        if score < options.panoptic_score_threshold:
            break
        if mask.sum() == 0:
            continue
        if (mask & (segment_map > 0)).sum() / mask.sum() > options.panoptic_overlap_threshold:
            continue
        segment_map[mask & (segment_map == 0)] = len(found) + 1
        found.append((class_id, True, score, instance_id))
    for class_id in np.unique(semantic):
        mask = (semantic == class_id) & (segment_map == 0)
        if class_id not in LABELS.stuff or mask.sum() < max(1, options.panoptic_stuff_min_area):
            continue
        segment_map[mask] = len(found) + 1
        found.append((class_id, False, 0.0, 0))
    return segment_map, found


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_fusion_equals_the_slow_reference(count, dtype):
    rng = np.random.default_rng(count)
    for overlap, score, min_area in [(0.5, 0.5, 4), (0.1, 0.6, 0), (0.9, 0.0, 60)]:
        options = replace(
            OPTIONS,
            panoptic_overlap_threshold=overlap,
            panoptic_score_threshold=score,
            panoptic_stuff_min_area=min_area,
        )
        masks, scores, class_ids, semantic = random_scene(rng, count)
        scores = scores.astype(np.float32).astype(float)
        ids = rng.permutation(count) + 10
        expected_map, expected = slow_fusion(masks, scores, class_ids, ids, semantic, options)
        result = fuse_panoptic(
            instances_of(masks, scores, class_ids, ids),
            semantic.astype(dtype),
            (23, 41),
            LABELS,
            options,
        )
        assert result.segment_map.dtype == np.uint16
        assert np.array_equal(result.segment_map, expected_map)
        found = [(s.class_id, s.is_thing, s.score, s.instance_id) for s in result.segments]
        assert found == expected
        for segment in result.segments:
            mask = result.segment_map == segment.id
            assert segment.area == mask.sum() > 0
            assert segment.roi == crop_of(mask).roi


def test_a_small_scene_is_fused_as_computed_by_hand():
    front, behind, hidden, faint = np.zeros((4, 4, 6), bool)
    front[0:2, 0:3] = True
    behind[1:3, 2:5] = True  # one of its 6 pixels belongs to the front
    hidden[0:2, 0:2] = True  # fully covered
    faint[3, 5] = True
    semantic = np.full((4, 6), 187, np.uint8)
    semantic[3] = 118
    semantic[3, 0:3] = 0
    instances = instances_of(
        [front, behind, hidden, faint], [0.9, 0.8, 0.7, 0.4], [44, 1, 1, 1], [7, 3, 9, 4]
    )
    result = fuse_panoptic(instances, semantic, (4, 6), LABELS, OPTIONS)
    assert result.segment_map.tolist() == [
        [1, 1, 1, 3, 3, 3],
        [1, 1, 1, 2, 2, 3],
        [3, 3, 2, 2, 2, 3],
        [0, 0, 0, 0, 0, 0],  # three pixels of floor are fewer than four
    ]
    assert result.segments == (
        Segment(1, 44, True, pytest.approx(0.9), 6, Roi(0, 0, 3, 2), 7),
        Segment(2, 1, True, pytest.approx(0.8), 5, Roi(2, 1, 3, 2), 3),
        Segment(3, 187, False, 0.0, 7, Roi(0, 0, 6, 3), 0),
    )

    options = replace(OPTIONS, panoptic_stuff_min_area=3)
    kept = fuse_panoptic(instances, semantic, (4, 6), LABELS, options)
    assert kept.segment_map[3].tolist() == [0, 0, 0, 3, 3, 3]
    assert kept.segments[2:] == (
        Segment(3, 118, False, 0.0, 3, Roi(3, 3, 3, 1), 0),
        Segment(4, 187, False, 0.0, 7, Roi(0, 0, 6, 3), 0),
    )


def test_without_stuff_everything_but_things_is_void():
    mask = np.zeros((5, 8), bool)
    mask[1:3, 2:4] = True
    result = fuse_panoptic(instances_of([mask], [0.9], [1]), None, (5, 8), LABELS, OPTIONS)
    assert np.array_equal(result.segment_map, mask)
    empty = fuse_panoptic(Instances.empty(), None, (5, 8), LABELS, OPTIONS)
    assert not empty.segment_map.any() and empty.segments == ()


def test_a_fully_covered_thing_has_no_segment_even_at_overlap_threshold_one():
    mask = np.ones((3, 4), bool)
    options = replace(OPTIONS, panoptic_overlap_threshold=1.0)
    result = fuse_panoptic(instances_of([mask, mask], [0.9, 0.8], [1, 1]), None, (3, 4), LABELS, options)
    assert [segment.id for segment in result.segments] == [1]


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is absent")
@pytest.mark.parametrize("image", ["astronaut_512x383", "hopper_512x600", "coffee_wide_600x240"])
def test_fusion_of_detectron2s_own_masks_gives_its_own_panoptic_map(image):
    folder = SHARED / "fixtures" / "d2_panoptic" / "seed0"
    arrays = np.load(folder / f"{image}.npz")
    expected = json.loads((folder / f"{image}.segments_info.json").read_text())
    height, width = arrays["image_hw"].tolist()
    packed = np.unpackbits(arrays["masks_packed"], axis=1, count=height * width)
    masks = packed.reshape(-1, height, width).astype(bool)
    # The fixture numbers things and stuff separately; here they share one numbering.
    stuff = arrays["sem_argmax"].astype(int)
    semantic = np.where(stuff > 0, stuff + 100, 0)
    labels = LabelSet({}, {class_id + 100: str(class_id) for class_id in range(1, 54)})
    instances = instances_of(masks, arrays["scores"], arrays["classes"])
    result = fuse_panoptic(instances, semantic, (height, width), labels, SegmentOptions(0.05))
    assert np.array_equal(result.segment_map, arrays["panoptic"])
    assert len(result.segments) == len(expected)
    for segment, reference in zip(result.segments, expected, strict=True):
        assert (segment.id, segment.is_thing) == (reference["id"], reference["isthing"])
        if segment.is_thing:
            assert segment.class_id == reference["category_id"]
            assert segment.score == reference["score"]
            assert segment.instance_id == reference["instance_id"] + 1
        else:
            assert segment.class_id == reference["category_id"] + 100
            assert segment.area == reference["area"]
