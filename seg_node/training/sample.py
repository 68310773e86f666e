# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Open a picture's files as pixels and their ground truth."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg_node.evaluation.true_pictures import read_picture, read_segment_map, relabel
from seg_node.training.classes import UNKNOWN
from seg_node.training.dataset import Picture


@dataclass(frozen=True)
class Sample:
    """Pixels and ground truth of a picture, at one size.

    image: uint8 (H, W, 3), RGB. labels: int64 (N,). masks: uint8 (N, H, W), 0 and 1. crowds: (M, H, W).
    exhaustive: bool (1 + things,). semantic: uint8 (H, W), see `ClassMap`.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8]
    crowds: NDArray[np.uint8]
    exhaustive: NDArray[np.bool_]
    semantic: NDArray[np.uint8]


def open_picture(picture: Picture) -> Sample:
    """Open a picture. Raises ValueError when it or its map is missing, damaged or not of the stated size."""
    frame = read_picture(picture.path, picture.size)
    semantic = np.full(picture.size, UNKNOWN, np.uint8)
    if picture.panoptic_map:
        segment_map = read_segment_map(picture.panoptic_map, picture.size, picture.semantic_of.keys())
        semantic = relabel(segment_map, picture.semantic_of, UNKNOWN).astype(np.uint8)
    return Sample(
        frame.pixels,
        np.array(picture.labels, np.int64),
        decode_masks(picture.segmentations, picture.size),
        decode_masks(picture.crowds, picture.size),
        np.array(picture.exhaustive),
        semantic,
    )


def decode_masks(segmentations: Iterable[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode polygons, or run lengths as numbers or compressed text, to (N, height, width), 0 and 1."""
    from pycocotools import mask as coco_mask

    found = list(segmentations)
    masks = np.empty((len(found), *size), np.uint8)
    for mask, segmentation in zip(masks, found, strict=True):
        if isinstance(segmentation, list):
            segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
        elif isinstance(segmentation["counts"], list):
            segmentation = coco_mask.frPyObjects(segmentation, *size)
        mask[:] = coco_mask.decode(segmentation)
    return masks
