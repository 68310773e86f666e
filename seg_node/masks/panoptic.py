# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The panoptic map: the segment of every pixel. Things are painted one by one, inside their crops."""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.masks.crop import tight_crop, tight_roi
from seg_node.types import Instances, LabelSet, PanopticSegments, Segment, SegmentOptions


def fuse_panoptic(
    instances: Instances,
    semantic: NDArray[np.integer] | None,
    image_size: tuple[int, int],
    labels: LabelSet,
    options: SegmentOptions,
) -> PanopticSegments:
    """Build a panoptic map: things from the instances, stuff from the semantic map on the free pixels.

    semantic: (H, W) integers from 0 to 65535, class ids of `labels`; only stuff classes are used, 0 is none.
    None if the model has no stuff.
    options: its panoptic_… fields, and classes for the stuff.

    Segment ids start at 1: things by descending score, then stuff by ascending class id. Area and RoI are
    those of the segment's pixels in the map. Other pixels are void.

    Source: Detectron2 modeling/meta_arch/panoptic_fpn.py: combine_semantic_and_instance_outputs, which keeps
    segments without pixels if the overlap threshold is 1; they are dropped here.
    """
    segment_map = np.zeros(image_size, np.uint16)
    segments = _paint_things(segment_map, instances, options)
    if semantic is not None:
        segments += _paint_stuff(segment_map, semantic, labels, options, len(segments))
    return PanopticSegments(segment_map, tuple(segments))


def _paint_things(
    segment_map: NDArray[np.uint16], instances: Instances, options: SegmentOptions
) -> list[Segment]:
    segments: list[Segment] = []
    for index, crop in enumerate(instances.masks):
        score = float(instances.scores[index])
        if score < options.panoptic_score_threshold:
            break
        region = segment_map[crop.roi.slices]
        free = crop.pixels & (region == 0)
        whole_area, area = crop.area, int(np.count_nonzero(free))
        if area == 0 or (whole_area - area) / whole_area > options.panoptic_overlap_threshold:
            continue
        segment_id = len(segments) + 1
        region += free * np.uint16(segment_id)  # free pixels are 0; several times as fast as indexing
        segments.append(
            Segment(
                id=segment_id,
                class_id=int(instances.class_ids[index]),
                is_thing=True,
                score=score,
                area=area,
                roi=crop.roi if area == whole_area else tight_crop(free, crop.x_offset, crop.y_offset).roi,
                instance_id=int(instances.ids[index]),
            )
        )
    return segments


def _paint_stuff(
    segment_map: NDArray[np.uint16],
    semantic: NDArray[np.integer],
    labels: LabelSet,
    options: SegmentOptions,
    last_id: int,
) -> list[Segment]:
    segments: list[Segment] = []
    free_classes = semantic.astype(np.uint16, copy=False) * (segment_map == 0)
    wanted = labels.stuff.keys() if options.classes is None else labels.stuff.keys() & options.classes
    seen = _seen_values(free_classes)
    for class_id in sorted(wanted & seen - {0}):
        mask = free_classes == class_id
        area = int(np.count_nonzero(mask))
        if area < options.panoptic_stuff_min_area:
            continue
        segment_id = last_id + len(segments) + 1
        np.copyto(segment_map, segment_id, where=mask)
        segments.append(Segment(segment_id, class_id, False, 0.0, area, tight_roi(mask), 0))
    return segments


def _seen_values(image: NDArray[np.uint16]) -> set[int]:
    """The values that occur; np.unique is slower, because it sorts all pixels."""
    counts = cv2.calcHist([image], [0], None, [1 << 16], [0, 1 << 16])
    return set(np.flatnonzero(counts).tolist())
