# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Copy objects from one picture into another (Ghiasi et al. 2021, "Simple Copy-Paste")."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.training.classes import THING, UNKNOWN
from seg_node.training.sample import Sample

MIN_CUT_SIDE = 24  # pixels; smaller objects have lost their shape
VISIBLE = 0.3  # share of an object that must stay visible, else it is ignored in training
EDGE = 1.0  # pixels over which a cut-out fades into the picture


def paste_objects(onto: Sample, giver: Sample, count: int, rng: np.random.Generator) -> Sample:
    """Paste up to `count` of the giver's whole objects into `onto`, each with random size and place."""
    whole = [i for i, mask in enumerate(giver.masks) if _is_whole(mask)]
    for i in rng.permutation(whole)[:count]:
        onto = _paste(onto, giver.image, giver.masks[i], int(giver.labels[i]), rng)
    return onto


def _is_whole(mask: NDArray[np.uint8]) -> bool:
    """Return whether an object is large enough, and not cut off by the picture's edge."""
    x, y, width, height = cv2.boundingRect(mask)
    inside = x > 1 and y > 1 and x + width < mask.shape[1] - 1 and y + height < mask.shape[0] - 1
    return inside and min(width, height) >= MIN_CUT_SIDE


def _paste(
    onto: Sample, image: NDArray[np.uint8], mask: NDArray[np.uint8], label: int, rng: np.random.Generator
) -> Sample:
    x, y, width, height = cv2.boundingRect(mask)
    cut = slice(y, y + height), slice(x, x + width)
    rows, columns = onto.image.shape[:2]
    side = np.exp(rng.uniform(np.log(0.08), np.log(0.6))) * min(rows, columns)  # longer side, pixels
    scale = min(side / max(width, height), 1.5, (rows - 1) / height, (columns - 1) / width)
    size = max(2, round(width * scale)), max(2, round(height * scale))
    pixels = cv2.resize(np.ascontiguousarray(image[cut]), size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(np.ascontiguousarray(mask[cut]), size, interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        pixels, small = pixels[:, ::-1], small[:, ::-1]
    top, left = int(rng.integers(rows - size[1] + 1)), int(rng.integers(columns - size[0] + 1))
    place = slice(top, top + size[1]), slice(left, left + size[0])

    alpha = cv2.GaussianBlur(small.astype(np.float32), (0, 0), EDGE)[..., None] * (small > 0)[..., None]
    pasted = onto.image.copy()
    blend = pasted[place] + alpha * (pixels.astype(np.float32) - pasted[place])
    pasted[place] = np.clip(blend, 0, 255).astype(np.uint8)

    new = np.zeros((rows, columns), np.uint8)
    new[place] = small
    semantic = onto.semantic
    if (semantic != UNKNOWN).any():  # else the branch would see only things in this picture
        semantic = np.where(new > 0, np.uint8(THING), semantic)
    below = replace(onto, image=pasted, semantic=semantic)
    return _add_on_top(below, new, label)


def _add_on_top(onto: Sample, mask: NDArray[np.uint8], label: int) -> Sample:
    """Add the object in front of the others, which lose the pixels that it covers."""
    before = onto.masks.sum((1, 2), dtype=np.int64)
    masks = onto.masks & ~mask & 1
    visible = masks.sum((1, 2), dtype=np.int64) >= VISIBLE * before
    hidden = masks[~visible]  # too little is left to train on
    return replace(
        onto,
        labels=np.append(onto.labels[visible], label),
        masks=np.concatenate([masks[visible], mask[None]]),
        crowds=np.concatenate([onto.crowds & ~mask & 1, hidden[hidden.any((1, 2))]]),
    )
