# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Draw masks, outlines, boxes and captions on a camera image."""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.drawing.captions import Caption, write_captions
from seg_node.drawing.palette import Bgr, object_colour, stuff_colour
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, PanopticSegments, Segmentation

_TO_BGR = {"rgb": cv2.COLOR_RGB2BGR, "bgra": cv2.COLOR_BGRA2BGR, "rgba": cv2.COLOR_RGBA2BGR}
_STUFF_STEP = 8  # Captions of stuff go where it is widest, searched on every 8th pixel.
_STUFF_ROWS = 512  # tinted at a time: all rows of a 64 MP image would take another 600 MB
_STUFF_SHARE = 0.6  # of the objects' opacity, so that they stand out from it
_JPEG_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION


def to_bgr(frame: Frame) -> NDArray[np.uint8]:
    """Convert a frame to a new BGR array, uint8 (H, W, 3)."""
    if frame.channels == "bgr":
        return frame.pixels.copy()
    if frame.channels == "mono":
        return np.repeat(frame.pixels[:, :, None], 3, axis=2)
    return np.asarray(cv2.cvtColor(frame.pixels, _TO_BGR[frame.channels]), np.uint8)


def encode_jpeg(pixels_bgr: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode a BGR image, uint8 (H, W, 3), as a JPEG file, uint8 (n,). quality: 1 to 100.

    Raises ValueError if the image is too wide or too high for a JPEG.
    """
    height, width = pixels_bgr.shape[:2]
    if max(height, width) > _JPEG_SIDE:
        raise ValueError(
            f"image of {width}x{height} does not fit into a JPEG, which holds {_JPEG_SIDE} pixels per side; "
            "use the raw image, or a smaller one"
        )
    done, jpeg = cv2.imencode(".jpg", pixels_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(jpeg, np.uint8)


def draw_segmentation(
    pixels_bgr: NDArray[np.uint8],
    segmentation: Segmentation,
    labels: LabelSet,
    *,
    opacity: float = 0.45,
    boxes: bool = True,
    captions: bool = True,
    ids: bool = False,
    stuff: bool = True,
) -> NDArray[np.uint8]:
    """Draw a segmentation on a copy of the image, each object tinted and outlined in the colour of its id.

    pixels_bgr: uint8 (H, W, 3), the image that was segmented.
    labels: of the model; those of the segmentation itself come first.
    opacity: of the tint, 0 to 1; stuff's is lighter. boxes, captions: whether to draw them.
    ids: whether captions name the object's id, "cup #3 0.91"; only useful where ids last, as with a tracker.
    stuff: whether to tint and name the stuff of the panoptic map.
    Higher scores are drawn on top. Captions do not cover each other: where there is no room, those of the
    lowest scores are skipped.
    """
    picture, labels = pixels_bgr.copy(), segmentation.labels or labels
    line_width = max(1, round(min(picture.shape[:2]) / 400))
    instances = segmentation.instances
    colours = [object_colour(int(instance_id)) for instance_id in instances.ids]
    texts = _object_captions(instances, colours, labels, ids)
    if stuff and segmentation.panoptic is not None:
        _tint_stuff(picture, segmentation.panoptic, labels, _STUFF_SHARE * opacity)
        texts += _stuff_captions(segmentation.panoptic, labels)
    for mask, colour in zip(reversed(instances.masks), reversed(colours), strict=True):
        _tint(picture, mask, colour, opacity, line_width)
    if boxes:
        for box_xyxy, colour in zip(instances.boxes_xyxy[::-1], reversed(colours), strict=True):
            _draw_box(picture, box_xyxy, colour, line_width)
    if captions:
        write_captions(picture, texts)
    return picture


def _tint(
    picture: NDArray[np.uint8], crop: MaskCrop, colour: Bgr, opacity: float, line_width: int = 0
) -> None:
    """Blend the colour over the crop's pixels, with a solid line along the inside of their border."""
    height, width = crop.pixels.shape
    if crop.pixels.size == 0:
        return
    region = picture[crop.roi.slices]
    mask = crop.pixels.view(np.uint8)
    # One row repeated: numpy's fill with a colour is 40 times slower.
    full_colour = np.repeat(np.full((1, width, 3), colour, np.uint8), height, axis=0)
    cv2.copyTo(cv2.addWeighted(region, 1 - opacity, full_colour, opacity, 0), mask, region)
    if line_width:
        # Outside the crop counts as background, so that the outline closes at the crop's edge.
        border = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
        inside = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=line_width, **border)
        cv2.copyTo(full_colour, cv2.subtract(mask, inside), region)


def _draw_box(
    picture: NDArray[np.uint8], box_xyxy: NDArray[np.float32], colour: Bgr, line_width: int
) -> None:
    """Draw lines along the inside of the box's edges."""
    height, width = picture.shape[:2]
    x_min, y_min, x_max, y_max = (
        np.clip(np.rint(box_xyxy), 0, [width, height, width, height]).astype(int).tolist()
    )
    box = picture[y_min:y_max, x_min:x_max]
    box[:line_width] = box[-line_width:] = colour
    box[:, :line_width] = box[:, -line_width:] = colour


def _object_captions(instances: Instances, colours: list[Bgr], labels: LabelSet, ids: bool) -> list[Caption]:
    return [
        Caption(
            labels.name(class_id),
            f" #{instance_id}  {score:.2f}" if ids else f" {score:.2f}",  # wide, else 4 1.00 reads 41.00
            colour,
            tuple(box_xyxy),
        )
        for instance_id, class_id, score, colour, box_xyxy in zip(
            instances.ids.tolist(),
            instances.class_ids.tolist(),
            instances.scores.tolist(),
            colours,
            instances.boxes_xyxy.tolist(),
            strict=True,
        )
    ]


def _tint_stuff(
    picture: NDArray[np.uint8], panoptic: PanopticSegments, labels: LabelSet, opacity: float
) -> None:
    for segment in panoptic.segments:
        if not segment.is_thing:
            colour = stuff_colour(labels.name(segment.class_id))
            x = segment.roi.x_offset
            columns = slice(x, x + segment.roi.width)
            end = segment.roi.y_offset + segment.roi.height
            for y in range(segment.roi.y_offset, end, _STUFF_ROWS):
                rows = slice(y, min(y + _STUFF_ROWS, end))
                crop = MaskCrop(x, y, panoptic.segment_map[rows, columns] == segment.id)
                _tint(picture, crop, colour, opacity)


def _stuff_captions(panoptic: PanopticSegments, labels: LabelSet) -> list[Caption]:
    coarse = panoptic.segment_map[::_STUFF_STEP, ::_STUFF_STEP]
    captions = []
    for segment in panoptic.segments:
        if segment.is_thing:
            continue
        # A border of zeros keeps the name off the image's edge.
        mask = np.pad((coarse == segment.id).astype(np.uint8), 1)
        y, x = np.unravel_index(cv2.distanceTransform(mask, cv2.DIST_L2, 3).argmax(), mask.shape)
        spot = (float(x - 1) * _STUFF_STEP, float(y - 1) * _STUFF_STEP)
        name = labels.name(segment.class_id)
        captions.append(Caption(name, "", stuff_colour(name), (*spot, *spot), centred=True))
    return captions
