# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Messages ↔ seg_node's types. One function per message; no ROS graph is needed here."""

import array
from collections.abc import Mapping

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from seg_node.drawing.draw import encode_jpeg
from seg_node.images.buffer import stamp_to_ns as stamp_to_ns
from seg_node.masks.encoding import encode_mask
from seg_node.masks.label_images import encode_png
from seg_node.msg import FrameTiming, InstanceMask, InstanceMaskArray, PanopticSegment, PanopticSegmentation
from seg_node.types import Frame, LabelSet, MaskEncoding, Roi, Segmentation


def to_header(frame: Frame) -> Header:
    sec, nanosec = divmod(frame.stamp_ns, 1_000_000_000)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame.frame_id)


def to_instances(
    frame: Frame, segmentation: Segmentation, labels: LabelSet, encoding: MaskEncoding
) -> InstanceMaskArray:
    height, width = segmentation.image_size
    found = segmentation.instances
    message = InstanceMaskArray(header=to_header(frame), height=height, width=width)
    # One conversion to Python numbers for all instances: the setters want plain floats and ints.
    columns = zip(
        found.ids.tolist(),
        found.class_ids.tolist(),
        found.scores.tolist(),
        found.boxes_xyxy.tolist(),
        found.masks,
        strict=True,
    )
    for instance_id, class_id, score, (x_min, y_min, x_max, y_max), mask in columns:
        instance = InstanceMask(
            id=instance_id,
            class_id=class_id,
            class_name=labels.name(class_id),
            score=score,
            x_min=x_min,
            y_min=y_min,
            x_max=x_max,
            y_max=y_max,
            roi=to_roi(mask.roi),
            area=mask.area,
            encoding=encoding,
        )
        fill_data(instance.data, encode_mask(mask, encoding, segmentation.image_size))
        message.instances.append(instance)
    return message


def to_panoptic(frame: Frame, segmentation: Segmentation, labels: LabelSet) -> PanopticSegmentation:
    assert segmentation.panoptic is not None
    return PanopticSegmentation(
        header=to_header(frame),
        segment_map=to_image(segmentation.panoptic.segment_map, "mono16", frame),
        segments=[
            PanopticSegment(
                id=segment.id,
                class_id=segment.class_id,
                class_name=labels.name(segment.class_id),
                is_thing=segment.is_thing,
                score=float(segment.score),
                area=segment.area,
                roi=to_roi(segment.roi),
                instance_id=segment.instance_id,
            )
            for segment in segmentation.panoptic.segments
        ],
    )


def to_image(pixels: NDArray[np.uint8] | NDArray[np.uint16], encoding: str, frame: Frame) -> Image:
    """pixels: (H, W) for mono8 and mono16, (H, W, 3) for bgr8."""
    height, width = pixels.shape[:2]
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    message = Image(
        header=to_header(frame),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=little.strides[0],
    )
    fill_data(message.data, little)
    return message


def to_jpeg(pixels_bgr: NDArray[np.uint8], quality: int, frame: Frame) -> CompressedImage:
    """Raises ValueError for a picture that no JPEG holds."""
    message = CompressedImage(header=to_header(frame), format="bgr8; jpeg compressed bgr8")
    fill_data(message.data, encode_jpeg(pixels_bgr, quality))
    return message


def to_png(pixels: NDArray[np.uint8] | NDArray[np.uint16], encoding: str, frame: Frame) -> CompressedImage:
    """Compress a label image without loss. pixels: (H, W) of mono8 or mono16."""
    message = CompressedImage(header=to_header(frame), format=f"{encoding}; png compressed {encoding}")
    fill_data(message.data, encode_png(pixels))
    return message


def to_timing(frame: Frame, milliseconds: Mapping[str, float]) -> FrameTiming:
    return FrameTiming(
        header=to_header(frame), **{name: float(value) for name, value in milliseconds.items()}
    )


def to_roi(roi: Roi) -> RegionOfInterest:
    return RegionOfInterest(x_offset=roi.x_offset, y_offset=roi.y_offset, height=roi.height, width=roi.width)


def fill_data(data: "array.array[int]", values: NDArray[np.generic]) -> None:
    """Append the values' bytes to a message's empty uint8[] field.

    Assigning to the field would copy an array once more (Jazzy) and look at each byte of anything else.
    """
    data.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
