# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""How far two answers for the same image agree."""

from dataclasses import dataclass

import numpy as np

from seg_node.masks.overlap import intersection_areas, mask_areas, mask_ious
from seg_node.types import Instances

SAME_MASK_IOU = 0.9


@dataclass(frozen=True)
class Agreement:
    """Of the objects with visible pixels.

    matched: share of both answers' objects that have a partner of the same class whose mask overlaps by an
    IoU of 0.9. score_difference: the greatest among partners; None without any.
    mean_iou: of the reference's objects with the object of the same class that overlaps most, 0 without one.
    """

    matched: float
    score_difference: float | None
    mean_iou: float


def agreement(reference: list[Instances], other: list[Instances]) -> Agreement:
    """Over several images; 1 where neither has an object."""
    objects = matched = 0
    best: list[float] = []
    differences: list[float] = []
    for one, two in zip(map(_visible, reference), map(_visible, other), strict=True):
        ious = mask_ious(
            intersection_areas(one.masks, two.masks), mask_areas(one.masks), mask_areas(two.masks)
        )
        ious[one.class_ids[:, None] != two.class_ids] = 0
        objects += len(one) + len(two)
        best += ious.max(axis=1, initial=0).tolist()
        while ious.size and ious.max() >= SAME_MASK_IOU:
            i, j = np.unravel_index(ious.argmax(), ious.shape)
            ious[i], ious[:, j] = 0, 0
            matched += 2
            differences.append(abs(float(one.scores[i]) - float(two.scores[j])))
    if objects == 0:
        return Agreement(1.0, None, 1.0)
    mean_iou = float(np.mean(best)) if best else 0.0
    return Agreement(matched / objects, max(differences, default=None), mean_iou)


def _visible(instances: Instances) -> Instances:
    return instances.select(np.flatnonzero(mask_areas(instances.masks)))
