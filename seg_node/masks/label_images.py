# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Label images: the instance, class or confidence of every pixel.

Objects are painted one by one inside their crops, without full-size masks.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.types import Instances, PanopticSegments

UNLABELLED = 255
CERTAIN = 255


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


def confidence_map(
    instances: Instances, panoptic: PanopticSegments | None, image_size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Paint the confidence of `class_map`, uint8 (H, W): score times 255, 0 unlabelled.

    Stuff without a score (0, see Segment) gets 255: consumers that weigh classes by confidence would never
    see a floor otherwise.
    """
    image = np.zeros(image_size, np.uint8)
    if panoptic is not None:
        last_id = max((segment.id for segment in panoptic.segments), default=0)
        confidence_of = np.zeros(last_id + 1, np.uint8)
        for segment in panoptic.segments:
            if _class_value(segment.class_id) != UNLABELLED:
                certain = not segment.is_thing and segment.score == 0
                confidence_of[segment.id] = CERTAIN if certain else _confidence(segment.score)
        return np.take(confidence_of, panoptic.segment_map)
    columns = (reversed(instances.masks), instances.class_ids[::-1], instances.scores[::-1])
    for crop, class_id, score in zip(*columns, strict=True):
        labelled = _class_value(int(class_id)) != UNLABELLED
        image[crop.roi.slices][crop.pixels] = _confidence(float(score)) if labelled else 0
    return image


def resample(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample a label image to size (height, width): each pixel gets the value at its centre."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * (old / new)).astype(np.intp), old - 1)
        for new, old in zip(size, image.shape, strict=True)
    )
    return image[rows[:, None], columns]


def encode_png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Encode a label image as a PNG file, uint8 (n,), without loss.

    Run lengths fit label images best: about 10 ms and 10 kB for 1280x720.
    """
    done, png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE])
    assert done
    return np.asarray(png, np.uint8)


def _confidence(score: float) -> int:
    return round(255 * min(max(score, 0.0), 1.0))


def _class_value(class_id: int) -> int:
    return class_id if 0 <= class_id < UNLABELLED else UNLABELLED
