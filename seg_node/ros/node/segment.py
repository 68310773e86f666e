# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Frames and `~/segment` requests through the model."""

from collections.abc import Sequence
from dataclasses import replace

from rclpy.serialization import deserialize_message

from seg_node.images.decode import decode_message
from seg_node.inference.check_result import check_segmentation
from seg_node.inference.engine import Engine
from seg_node.masks.region import clip_region, crop_frame, uncrop
from seg_node.msg import InstanceMaskArray, PanopticSegmentation
from seg_node.ros.messages.cdr import serialize_instances, serialize_panoptic
from seg_node.ros.node.options import Options
from seg_node.srv import Segment
from seg_node.types import Frame, Segmentation, SegmentOptions


def segment_frames(
    engine: Engine, frames: Sequence[Frame], options: Options, panoptic: bool
) -> list[Segmentation]:
    """Segment frames of one size; only the region of interest goes through the model.

    Raises Refused (RegionError, OutOfMemory, DeviceLost) for what is foreseen.
    """
    size = frames[0].image_size
    region = clip_region(options.region(), size)
    wanted = options.segment_options(engine.labels, engine.default_options)
    cut = [crop_frame(frame, region) for frame in frames]
    found = engine.segment_batch(cut, replace(wanted, panoptic=panoptic))
    return [uncrop(segmentation, region, size) for segmentation in found]


def check_options(engine: Engine, options: Options) -> SegmentOptions:
    """Return the model's share. Raises ValueError for classes and prompts that the model does not take."""
    wanted = options.segment_options(engine.labels, engine.default_options)
    return engine.prompted(wanted, wanted.prompts or ())


def answer_request(engine: Engine, request: Segment.Request, options: Options) -> Segment.Response:
    """Segment the request's image. Raises Refused for what is foreseen."""
    frame = decode_message(request.image, options.max_pixels)
    (found,) = segment_frames(engine, [frame], options, request.panoptic)
    check_segmentation(found, engine.labels)
    labels = found.labels or engine.labels
    response = Segment.Response(success=True)
    instances = serialize_instances(frame, found, labels, options.mask_encoding)
    response.instances = deserialize_message(instances, InstanceMaskArray)
    if found.panoptic is not None and request.panoptic:
        panoptic = serialize_panoptic(frame, found, labels)
        response.panoptic = deserialize_message(panoptic, PanopticSegmentation)
    return response
