# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Counts of confused, missed and false detections, picture by picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seg_node.masks.crop import tight_crop
from seg_node.masks.overlap import intersection_areas, mask_areas, mask_ious
from seg_node.training.dataset import Picture
from seg_node.training.sample import decode_masks
from seg_node.types import Instances

LEAST_IOU = 0.5
CROWDED = 0.5  # a detection with more than this share in a crowd region is ignored
NONE = 0  # the found class of a missed object, and the true class of a false detection


@dataclass
class Errors:
    """Counts of one set.

    pairs: by (true class, found class). empty: pictures on which none of the model's things is labelled;
    `false_on_empty` counts all detections there by class.
    """

    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)
    pictures: int = 0
    empty: int = 0
    false_on_empty: Counter[int] = field(default_factory=Counter)


def match_objects(ious: NDArray[np.float64]) -> list[int]:
    """Return for each found object the true one that it covers best, -1 for none over an IoU of 0.5.

    ious: (found, true), found by descending score. Each true object is matched once, whatever its class.
    """
    free = np.ones(ious.shape[1], bool)
    matches = []
    for row in ious:
        open_to = np.where(free, row, -1.0)
        best = int(open_to.argmax()) if len(row) else -1
        if best >= 0 and open_to[best] >= LEAST_IOU:
            free[best] = False
        else:
            best = -1
        matches.append(best)
    return matches


def match_masks(found: Instances, true: NDArray[np.uint8]) -> list[int]:
    """Match instances with true masks (N, H, W), see `match_objects`."""
    masks = [tight_crop(mask > 0) for mask in true]
    shared = intersection_areas(found.masks, masks)
    return match_objects(mask_ious(shared, mask_areas(found.masks), mask_areas(masks)))


def count_errors(errors: Errors, found: Instances, picture: Picture) -> None:
    """Add one picture to the counts.

    A detection of a class that is not exhaustively labelled in the picture, or in a crowd region, is neither
    hit nor error where it matches no object.
    """
    matches = match_masks(found, decode_masks(picture.segmentations, picture.size))
    crowds = decode_masks(picture.crowds, picture.size).any(0)
    empty = not picture.labels and not picture.crowds
    for i, (matched, class_id) in enumerate(zip(matches, found.class_ids.tolist(), strict=True)):
        if matched >= 0:
            errors.pairs[picture.labels[matched], class_id] += 1
            continue
        mask = found.masks[i]
        crowded = np.count_nonzero(crowds[mask.roi.slices] & mask.pixels) > CROWDED * mask.area
        if picture.exhaustive[class_id] and not crowded:
            errors.pairs[NONE, class_id] += 1
    for missed in set(range(len(picture.labels))) - set(matches):
        errors.pairs[picture.labels[missed], NONE] += 1
    errors.pictures += 1
    if empty:
        errors.empty += 1
        errors.false_on_empty.update(found.class_ids.tolist())
