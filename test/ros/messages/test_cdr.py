# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes that we write ourselves are those that rclpy makes of the messages.

All but those between two fields: there Fast CDR leaves what was in its memory.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import RegionOfInterest

from seg_node.masks.encoding import decode_crop, encode_mask
from seg_node.msg import InstanceMask, InstanceMaskArray, PanopticSegment, PanopticSegmentation
from seg_node.ros.messages.cdr import serialize_instances, serialize_panoptic
from seg_node.ros.messages.convert import fill_data, to_header, to_image
from seg_node.types import (
    Frame,
    Instances,
    LabelSet,
    MaskCrop,
    MaskEncoding,
    PanopticSegments,
    Roi,
    Segment,
    Segmentation,
)

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
STAMPS = st.integers(0, 2**31 * 10**9 - 1)
SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
FRAME = Frame(np.zeros((6, 9, 3), np.uint8), "bgr", 1_234_567_890_987_654_321, "left/optical")
LABELS = LabelSet({44: "bottle"})


def random_segmentation(count: int, size: tuple[int, int], seed: int) -> Segmentation:
    rng = np.random.default_rng(seed)
    height, width = size
    crops = []
    for _ in range(count):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        rows, columns = int(rng.integers(1, height - y + 1)), int(rng.integers(1, width - x + 1))
        pixels = rng.random((rows, columns)) < 0.5
        pixels[rng.integers(rows), rng.integers(columns)] = True
        crops.append(MaskCrop(x, y, pixels) if rng.random() < 0.9 else MaskCrop.empty())
    segments = tuple(
        Segment(
            id=number + 1,
            class_id=int(rng.integers(-1, 4)),
            is_thing=bool(rng.integers(2)),
            score=float(np.float32(rng.random())),
            area=int(rng.integers(2**32)),
            roi=Roi(*(int(value) for value in rng.integers(0, 2**32, 4))),
            instance_id=int(rng.integers(2**32)),
        )
        for number in range(count)
    )
    return Segmentation(
        size,
        Instances(
            boxes_xyxy=rng.normal(0, 100, (count, 4)).astype(np.float32),
            scores=rng.random(count).astype(np.float32),
            class_ids=rng.integers(-1, 4, count).astype(np.int32),
            masks=tuple(crops),
            ids=rng.integers(0, 2**32, count).astype(np.uint32),
        ),
        PanopticSegments(rng.integers(0, 2**16, size).astype(np.uint16), segments),
    )


def filled_instances(
    frame: Frame, segmentation: Segmentation, labels: LabelSet, encoding: MaskEncoding
) -> InstanceMaskArray:
    height, width = segmentation.image_size
    found = segmentation.instances
    message = InstanceMaskArray(header=to_header(frame), height=height, width=width)
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
            roi=filled_roi(mask.roi),
            area=mask.area,
            encoding=encoding,
        )
        fill_data(instance.data, encode_mask(mask, encoding, segmentation.image_size))
        message.instances.append(instance)
    return message


def filled_panoptic(frame: Frame, segmentation: Segmentation, labels: LabelSet) -> PanopticSegmentation:
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
                roi=filled_roi(segment.roi),
                instance_id=segment.instance_id,
            )
            for segment in segmentation.panoptic.segments
        ],
    )


def filled_roi(roi: Roi) -> RegionOfInterest:
    return RegionOfInterest(x_offset=roi.x_offset, y_offset=roi.y_offset, height=roi.height, width=roi.width)


@settings(deadline=None)
@given(
    st.integers(0, 5),
    SIZES,
    st.integers(0, 2**32),
    STAMPS,
    NAMES,
    NAMES,
    st.sampled_from(("mono8", "bits", "rle")),
)
def test_both_messages_are_read_as_those_that_rclpy_sends(
    count: int,
    size: tuple[int, int],
    seed: int,
    stamp_ns: int,
    frame_id: str,
    name: str,
    encoding: MaskEncoding,
) -> None:
    found = random_segmentation(count, size, seed)
    frame = Frame(np.zeros((*size, 3), np.uint8), "bgr", stamp_ns, frame_id)
    labels = LabelSet({0: name, 1: "cup"}, {2: "floor"})

    instances = serialize_instances(frame, found, labels, encoding)
    message = filled_instances(frame, found, labels, encoding)
    assert len(instances) == len(serialize_message(message))
    assert deserialize_message(instances, InstanceMaskArray) == message

    panoptic = serialize_panoptic(frame, found, labels)
    message = filled_panoptic(frame, found, labels)
    assert len(panoptic) == len(serialize_message(message))
    assert deserialize_message(panoptic, PanopticSegmentation) == message


def test_an_instance_goes_over_the_wire_with_all_its_fields() -> None:
    mask = MaskCrop(2, 1, np.array([[True, False, True], [True, True, False]]))
    found = Instances(
        boxes_xyxy=np.array([[1.5, 0.25, 5.5, 3.75]], np.float32),
        scores=np.array([0.75], np.float32),
        class_ids=np.array([44], np.int32),
        masks=(mask,),
        ids=np.array([7], np.uint32),
    )
    data = serialize_instances(FRAME, Segmentation((6, 9), found), LABELS, "mono8")
    received = deserialize_message(data, InstanceMaskArray)
    (instance,) = received.instances
    assert received.header == to_header(FRAME)
    assert (received.height, received.width) == (6, 9)
    assert (instance.id, instance.class_id, instance.class_name, instance.score) == (7, 44, "bottle", 0.75)
    assert (instance.x_min, instance.y_min, instance.x_max, instance.y_max) == (1.5, 0.25, 5.5, 3.75)
    roi = instance.roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (2, 1, 3, 2)
    assert instance.area == 4
    np.testing.assert_array_equal(decode_crop(instance).pixels, mask.pixels)


def test_nothing_found_is_an_empty_message_of_the_images_size() -> None:
    data = serialize_instances(FRAME, Segmentation((6, 9), Instances.empty()), LABELS, "rle")
    message = deserialize_message(data, InstanceMaskArray)
    assert message.instances == [] and (message.height, message.width) == (6, 9)
