# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Segment only a region of the image: crop the frame, then shift the results to the whole image."""

from dataclasses import replace

import numpy as np

from seg_node.errors import Refused
from seg_node.types import Frame, Instances, PanopticSegments, Roi, Segment, Segmentation


class RegionError(Refused, ValueError):
    """The region has no pixel in common with the image."""

    def __init__(self, text: str) -> None:
        super().__init__("roi_outside", text)


def clip_region(region: Roi, image_size: tuple[int, int]) -> Roi:
    """Clip the region to the image; 0 x 0 means the whole image.

    Raises RegionError if the region lies outside.
    """
    height, width = image_size
    if region.width == 0 or region.height == 0:
        return Roi(0, 0, width, height)
    clipped = Roi(
        region.x_offset,
        region.y_offset,
        min(region.width, width - region.x_offset),
        min(region.height, height - region.y_offset),
    )
    if clipped.width <= 0 or clipped.height <= 0:
        x, y = region.x_offset, region.y_offset
        raise RegionError(
            f"roi [{x}, {y}, {region.width}, {region.height}] (x, y, width, height) lies outside the "
            f"image of {width}x{height}: choose one inside, or [0, 0, 0, 0] for the whole image"
        )
    return clipped


def crop_frame(frame: Frame, region: Roi) -> Frame:
    """Crop the frame to a region inside the image; the pixels are a view."""
    return replace(frame, pixels=frame.pixels[region.slices])


def uncrop(segmentation: Segmentation, region: Roi, image_size: tuple[int, int]) -> Segmentation:
    """Shift a region's segmentation to the coordinates of the whole image, void outside the region."""
    if segmentation.image_size == image_size:
        return segmentation
    panoptic = segmentation.panoptic
    return replace(
        segmentation,
        image_size=image_size,
        instances=_shifted(segmentation.instances, region),
        panoptic=panoptic and _enlarged(panoptic, region, image_size),
    )


def _shifted(found: Instances, region: Roi) -> Instances:
    x, y = region.x_offset, region.y_offset
    masks = tuple(
        replace(m, x_offset=m.x_offset + x, y_offset=m.y_offset + y) if m.pixels.size else m
        for m in found.masks
    )
    return replace(found, boxes_xyxy=found.boxes_xyxy + np.array([x, y, x, y], np.float32), masks=masks)


def _enlarged(panoptic: PanopticSegments, region: Roi, image_size: tuple[int, int]) -> PanopticSegments:
    segment_map = np.zeros(image_size, np.uint16)
    segment_map[region.slices] = panoptic.segment_map
    return PanopticSegments(segment_map, tuple(_moved(segment, region) for segment in panoptic.segments))


def _moved(segment: Segment, region: Roi) -> Segment:
    own = segment.roi
    x_offset, y_offset = own.x_offset + region.x_offset, own.y_offset + region.y_offset
    return replace(segment, roi=replace(own, x_offset=x_offset, y_offset=y_offset))
