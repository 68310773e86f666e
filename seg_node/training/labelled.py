"""A picture's pixels with what is known of them, opened from its files."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.ground_truth import read_segment_map
from seg_node.training.classes import UNKNOWN
from seg_node.training.dataset import Picture


@dataclass(frozen=True)
class Labelled:
    """A picture's pixels and truth, at one size.

    image: uint8 (H, W, 3), RGB. labels: int64 (N,). masks: uint8 (N, H, W), 0 and 1. crowds: (M, H, W).
    complete: bool (1 + things,). semantic: uint8 (H, W), see `ClassMap`.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8]
    crowds: NDArray[np.uint8]
    complete: NDArray[np.bool_]
    semantic: NDArray[np.uint8]


def open_picture(picture: Picture) -> Labelled:
    """Raises ValueError when the image is missing, damaged or of another size than its record says."""
    pixels = cv2.imread(str(picture.path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{picture.path}: no such image, or it cannot be decoded")
    if pixels.shape[:2] != picture.size:
        (height, width), (true_height, true_width) = pixels.shape[:2], picture.size
        raise ValueError(
            f"{picture.path}: is {width}x{height}, but its record says {true_width}x{true_height}"
        )
    semantic = np.full(picture.size, UNKNOWN, np.uint8)
    if picture.panoptic_map:
        segment_map = read_segment_map(picture.panoptic_map)
        for segment, value in picture.semantic_of.items():
            semantic[segment_map == segment] = value
    return Labelled(
        np.ascontiguousarray(pixels[..., ::-1]),
        np.array(picture.labels, np.int64),
        decode_masks(picture.segmentations, picture.size),
        decode_masks(picture.crowds, picture.size),
        np.array(picture.complete),
        semantic,
    )


def decode_masks(segmentations: Iterable[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(N, height, width), 0 and 1, of polygons, or run lengths as numbers or compressed text."""
    from pycocotools import mask as coco_mask

    masks = []
    for segmentation in segmentations:
        if isinstance(segmentation, list):
            segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
        elif isinstance(segmentation["counts"], list):
            segmentation = coco_mask.frPyObjects(segmentation, *size)
        masks.append(coco_mask.decode(segmentation))
    return np.array(masks, np.uint8).reshape(-1, *size)
