"""Segmenting only a part of the image: the part cut out, and its results put back into place."""

from dataclasses import replace

import numpy as np

from seg_node.errors import Refused
from seg_node.types import Frame, Instances, PanopticSegments, Roi, Segment, Segmentation


class RegionError(Refused, ValueError):
    """The region has no pixel in common with the image."""

    def __init__(self, text: str) -> None:
        super().__init__("roi_outside", text)


def clip_region(region: Roi, image_size: tuple[int, int]) -> Roi:
    """The part of the region inside the image; 0 x 0 stands for the whole image.

    Raises RegionError when nothing of it is inside.
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


def cut_out(frame: Frame, region: Roi) -> Frame:
    """A view of the frame's pixels inside the region, which lies inside the image."""
    rows = slice(region.y_offset, region.y_offset + region.height)
    columns = slice(region.x_offset, region.x_offset + region.width)
    return replace(frame, pixels=frame.pixels[rows, columns])


def put_back(segmentation: Segmentation, region: Roi, image_size: tuple[int, int]) -> Segmentation:
    """The region's segmentation in the whole image's coordinates; outside it nothing is known (void)."""
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
    rows = slice(region.y_offset, region.y_offset + region.height)
    segment_map[rows, region.x_offset : region.x_offset + region.width] = panoptic.segment_map
    return PanopticSegments(segment_map, tuple(_moved(segment, region) for segment in panoptic.segments))


def _moved(segment: Segment, region: Roi) -> Segment:
    own = segment.roi
    x_offset, y_offset = own.x_offset + region.x_offset, own.y_offset + region.y_offset
    return replace(segment, roi=replace(own, x_offset=x_offset, y_offset=y_offset))
