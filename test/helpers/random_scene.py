# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Instances from full masks, and random scenes of them."""

import numpy as np

from seg_node.types import Instances, MaskCrop


def crop_of(mask):
    """The tight crop of a full bool mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return MaskCrop(0, 0, np.zeros((0, 0), bool))
    y, x = int(rows[0]), int(columns[0])
    return MaskCrop(x, y, mask[y : rows[-1] + 1, x : columns[-1] + 1])


def instances_of(masks, scores, class_ids, ids=None):
    return Instances(
        boxes_xyxy=np.zeros((len(masks), 4), np.float32),
        scores=np.array(scores, np.float32),
        class_ids=np.array(class_ids, np.int32),
        masks=tuple(crop_of(mask) for mask in masks),
        ids=np.array(ids if ids is not None else range(1, len(masks) + 1), np.uint32),
    )


def random_scene(rng, count, image_size=(23, 41)):
    """Draw (full masks, scores, class ids, semantic map); some masks are empty, some cover others."""
    height, width = image_size
    masks = np.zeros((count, height, width), bool)
    for mask in masks:
        y, x = rng.integers(0, height), rng.integers(0, width)
        mask[y : y + rng.integers(0, 15), x : x + rng.integers(0, 25)] = True
        mask &= rng.random(image_size) < 0.9
    scores = np.sort(rng.choice([0.2, 0.5, 0.6, 0.7, 0.9], count))[::-1]
    semantic = np.repeat(rng.choice([0, 118, 187, 400, 44], (height, 1)), width, axis=1)
    return masks, scores, rng.choice([1, 44, 300], count), semantic
