"""What every pixel of an image belongs to: the panoptic map and plain label images.

All functions paint object by object inside its crop; no full-size mask of an object is made.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.types import Instances, LabelSet, MaskCrop, PanopticSegments, Roi, Segment, SegmentOptions

UNLABELLED = 255


def fuse_panoptic(
    instances: Instances,
    semantic: NDArray[np.integer] | None,
    image_size: tuple[int, int],
    labels: LabelSet,
    options: SegmentOptions,
) -> PanopticSegments:
    """Things from the instances, stuff from the semantic map where no thing is, void elsewhere.

    semantic: (H, W) integers from 0 to 65535, class ids of `labels`; its stuff classes are used, 0 is none
    of them. None when the model has no stuff.
    options: its panoptic_… fields, and classes for the stuff.

    Segment ids count from 1: things by falling score, then stuff by rising class id. Area and RoI are those
    of the pixels that the segment has in the map.

    Source: Detectron2 modeling/meta_arch/panoptic_fpn.py: combine_semantic_and_instance_outputs.
    A segment that would get no pixel is left out (there only with an overlap threshold of 1).
    """
    segment_map = np.zeros(image_size, np.uint16)
    segments = _paint_things(segment_map, instances, options)
    if semantic is not None:
        segments += _paint_stuff(segment_map, semantic, labels, options, len(segments))
    return PanopticSegments(segment_map, tuple(segments))


def instance_map(instances: Instances, image_size: tuple[int, int]) -> NDArray[np.uint16]:
    """uint16 (H, W): 0 background, i the i-th instance of the array; the higher score wins overlaps."""
    image = np.zeros(image_size, np.uint16)
    for number in range(len(instances), 0, -1):
        crop = instances.masks[number - 1]
        _window(image, crop)[crop.pixels] = number
    return image


def class_map(
    instances: Instances, panoptic: PanopticSegments | None, image_size: tuple[int, int]
) -> NDArray[np.uint8]:
    """uint8 (H, W): class ids, 255 unlabelled (as are classes above 254, which do not fit).

    With a panoptic map each pixel has the class of its segment there; without one that of the
    best-scored instance.
    """
    if panoptic is not None:
        last_id = max((segment.id for segment in panoptic.segments), default=0)
        class_of = np.full(last_id + 1, UNLABELLED, np.uint8)
        for segment in panoptic.segments:
            class_of[segment.id] = _class_value(segment.class_id)
        return np.take(class_of, panoptic.segment_map)
    image = np.full(image_size, UNLABELLED, np.uint8)
    for crop, class_id in zip(reversed(instances.masks), instances.class_ids[::-1], strict=True):
        _window(image, crop)[crop.pixels] = _class_value(int(class_id))
    return image


def _paint_things(
    segment_map: NDArray[np.uint16], instances: Instances, options: SegmentOptions
) -> list[Segment]:
    segments: list[Segment] = []
    for index, crop in enumerate(instances.masks):
        score = float(instances.scores[index])
        if score < options.panoptic_score_threshold:
            break
        region = _window(segment_map, crop)
        free = crop.pixels & (region == 0)
        whole_area, area = crop.area, int(np.count_nonzero(free))
        if area == 0 or (whole_area - area) / whole_area > options.panoptic_overlap_threshold:
            continue
        segment_id = len(segments) + 1
        region += free * np.uint16(segment_id)  # 0 there; several times as fast as an index
        segments.append(
            Segment(
                id=segment_id,
                class_id=int(instances.class_ids[index]),
                is_thing=True,
                score=score,
                area=area,
                roi=crop.roi if area == whole_area else _tight_roi(free, crop.x_offset, crop.y_offset),
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
        segments.append(Segment(segment_id, class_id, False, 0.0, area, _tight_roi(mask, 0, 0), 0))
    return segments


def _seen_values(image: NDArray[np.uint16]) -> set[int]:
    """As np.unique, which would sort all pixels."""
    counts = cv2.calcHist([image], [0], None, [1 << 16], [0, 1 << 16])
    return set(np.flatnonzero(counts).tolist())


def _window(image: NDArray, crop: MaskCrop) -> NDArray:
    """The part of the image that the crop covers, as a view."""
    height, width = crop.pixels.shape
    return image[crop.y_offset : crop.y_offset + height, crop.x_offset : crop.x_offset + width]


def _tight_roi(mask: NDArray[np.bool_], x_offset: int, y_offset: int) -> Roi:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return Roi(x_offset + x, y_offset + y, width, height)


def _class_value(class_id: int) -> int:
    return class_id if 0 <= class_id < UNLABELLED else UNLABELLED
