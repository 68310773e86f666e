# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The last step of every family: objects and masks become `Instances` and a `Segmentation`."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seg_node.masks.overlap import bounds_xyxy, intersection_areas, mask_areas, mask_ious
from seg_node.masks.panoptic import fuse_panoptic
from seg_node.types import Instances, LabelSet, MaskCrop, Segmentation, SegmentOptions


def gather_instances(
    boxes_xyxy: Tensor, scores: Tensor, class_ids: Tensor, masks: Sequence[MaskCrop], min_area: int
) -> Instances:
    """Build instances numbered from 1, without those whose masks have fewer pixels than min_area.

    The objects come best first. boxes_xyxy: float (N, 4), pixels of the image. scores: float (N,).
    class_ids: integer (N,). Any device.
    """
    kept = [i for i, mask in enumerate(masks) if min_area == 0 or mask.area >= min_area]
    return Instances(
        boxes_xyxy=boxes_xyxy.cpu().numpy()[kept],
        scores=scores.cpu().numpy()[kept],
        class_ids=class_ids.cpu().numpy()[kept].astype(np.int32),
        masks=tuple(masks[i] for i in kept),
        ids=np.arange(1, len(kept) + 1, dtype=np.uint32),
    )


def assemble_segmentation(
    instances: Instances,
    semantic: NDArray[np.integer] | None,
    image_size: tuple[int, int],
    labels: LabelSet,
    options: SegmentOptions,
) -> Segmentation:
    """Combine the instances with the panoptic map, if wanted. semantic: as in `fuse_panoptic`."""
    if options.duplicate_iou < 1:
        instances = without_duplicates(instances, options.duplicate_iou)
    if not options.panoptic:
        return Segmentation(image_size, instances)
    panoptic = fuse_panoptic(instances, semantic, image_size, labels, options)
    return Segmentation(image_size, instances, panoptic)


def without_duplicates(instances: Instances, iou: float) -> Instances:
    """Drop instances whose mask overlaps that of a better-scored one by more than `iou`."""
    masks = instances.masks
    areas = mask_areas(masks)
    winners = first_overlapping(mask_ious(intersection_areas(masks, masks), areas, areas) > iou)
    kept = np.flatnonzero(winners == np.arange(len(masks)))
    return replace(instances.select(kept), ids=np.arange(1, len(kept) + 1, dtype=np.uint32))


def first_overlapping(overlaps: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for each of N objects, best first, the index of the best kept one that it overlaps, or its own.

    overlaps: (N, N). An object is kept unless it overlaps a kept one that is better.
    """
    winners = np.arange(len(overlaps))
    kept: list[int] = []
    for i in range(len(overlaps)):
        rivals = np.flatnonzero(overlaps[i, kept])
        if len(rivals):
            winners[i] = kept[rivals[0]]
        else:
            kept.append(i)
    return winners


def mask_bounds(masks: Sequence[MaskCrop]) -> Tensor:
    """Box the masks of networks without boxes: float (N, 4), zeros for an empty mask."""
    return torch.from_numpy(bounds_xyxy(masks)).to(torch.float32)
