# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The panoptic map and label images: the segment, instance or class of every pixel.

Objects are painted one by one inside their crops, without full-size masks.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.masks.crop import tight_crop, tight_roi
from seg_node.types import Instances, LabelSet, PanopticSegments, Segment, SegmentOptions

UNLABELLED = 255


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


def instance_map(instances: Instances, image_size: tuple[int, int]) -> NDArray[np.uint16]:
    """Paint a label image, uint16 (H, W): 0 background, i the i-th instance; higher scores win overlaps."""
    image = np.zeros(image_size, np.uint16)
    for number in range(len(instances), 0, -1):
        crop = instances.masks[number - 1]
        image[crop.roi.slices][crop.pixels] = number
    return image


def class_map(
    instances: Instances, panoptic: PanopticSegments | None, image_size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Paint a class image, uint8 (H, W): class ids, 255 for unlabelled and for classes above 254.

    Pixels get the class of their segment, or without a panoptic map that of the instance with the highest
    score.
    """
    if panoptic is not None:
        last_id = max((segment.id for segment in panoptic.segments), default=0)
        class_of = np.full(last_id + 1, UNLABELLED, np.uint8)
        for segment in panoptic.segments:
            class_of[segment.id] = _class_value(segment.class_id)
        return np.take(class_of, panoptic.segment_map)
    image = np.full(image_size, UNLABELLED, np.uint8)
    for crop, class_id in zip(reversed(instances.masks), instances.class_ids[::-1], strict=True):
        image[crop.roi.slices][crop.pixels] = _class_value(int(class_id))
    return image


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


def _class_value(class_id: int) -> int:
    return class_id if 0 <= class_id < UNLABELLED else UNLABELLED
