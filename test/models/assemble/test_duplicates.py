# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Removal of duplicates: of two objects with the same pixels only the better-scored one is kept."""

import numpy as np
from numpy.typing import NDArray

from seg_node.models.assemble.instances import assemble_segmentation, without_duplicates
from seg_node.types import Instances, LabelSet, MaskCrop, SegmentOptions

LABELS = LabelSet({1: "cup", 2: "can"})


def instances(*masks: MaskCrop) -> Instances:
    """Build instances with falling scores and alternating classes 1 and 2."""
    count = len(masks)
    classes: NDArray[np.int32] = (np.arange(count) % 2 + 1).astype(np.int32)
    scores = np.linspace(0.9, 0.5, count).astype(np.float32)
    ids = np.arange(1, count + 1, dtype=np.uint32)
    return Instances(np.zeros((count, 4), np.float32), scores, classes, masks, ids)


def square(x: int, y: int, side: int = 10) -> MaskCrop:
    return MaskCrop(x, y, np.ones((side, side), bool))


def test_only_the_best_of_overlapping_masks_is_kept_and_ids_start_at_1() -> None:
    # shifted by 1 of 10 pixels: IoU 90 / 110 = 0.82; by 4: 60 / 140 = 0.43
    found = instances(square(0, 0), square(1, 0), square(4, 0), square(50, 50))
    kept = without_duplicates(found, 0.8)
    assert [mask.x_offset for mask in kept.masks] == [0, 4, 50]
    assert kept.ids.tolist() == [1, 2, 3]
    assert kept.class_ids.tolist() == [1, 1, 2]
    assert len(without_duplicates(found, 0.82)) == 4


def test_objects_under_a_dropped_one_are_kept() -> None:
    # IoU of 0 and 1: 0.67, of 1 and 2: 0.67, but of 0 and 2 only 0.43
    found = instances(square(0, 0), square(2, 0), square(4, 0))
    assert [mask.x_offset for mask in without_duplicates(found, 0.6).masks] == [0, 4]


def test_empty_masks_and_no_instances_are_no_duplicates() -> None:
    assert len(without_duplicates(instances(MaskCrop.empty(), MaskCrop.empty()), 0.0)) == 2
    assert len(without_duplicates(Instances.empty(), 0.5)) == 0


def test_by_default_all_stay_and_the_map_follows_the_choice() -> None:
    found = instances(square(0, 0), square(1, 0))
    own = SegmentOptions(score_threshold=0.0)
    assert len(assemble_segmentation(found, None, (20, 20), LABELS, own).instances) == 2
    strict = SegmentOptions(score_threshold=0.0, duplicate_iou=0.7, panoptic_overlap_threshold=1.0)
    chosen = assemble_segmentation(found, None, (20, 20), LABELS, strict)
    assert len(chosen.instances) == 1
    assert chosen.panoptic is not None and len(chosen.panoptic.segments) == 1
