"""How far two answers for the same image agree."""

from dataclasses import dataclass

import numpy as np

from seg_node.overlap import mask_areas, mask_ious, shared_areas
from seg_node.types import Instances

SAME_MASK_IOU = 0.9


@dataclass(frozen=True)
class Agreement:
    """matched: share of the objects, of both answers, that have a partner of the same class whose mask
    overlaps by an IoU of 0.9. score_difference: the greatest among partners; None without any.
    """

    matched: float
    score_difference: float | None


def agreement(reference: list[Instances], other: list[Instances]) -> Agreement:
    """Over several images; 1 where neither has an object."""
    objects = matched = 0
    differences: list[float] = []
    for one, two in zip(reference, other, strict=True):
        ious = mask_ious(shared_areas(one.masks, two.masks), mask_areas(one.masks), mask_areas(two.masks))
        ious[one.class_ids[:, None] != two.class_ids] = 0
        objects += len(one) + len(two)
        while ious.size and ious.max() >= SAME_MASK_IOU:
            i, j = np.unravel_index(ious.argmax(), ious.shape)
            ious[i], ious[:, j] = 0, 0
            matched += 2
            differences.append(abs(float(one.scores[i]) - float(two.scores[j])))
    return Agreement(matched / objects if objects else 1.0, max(differences, default=None))
