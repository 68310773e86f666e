# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Messages and back: header, layout and bytes of what the node publishes."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from seg_node.images.decode import decode_message
from seg_node.masks.encoding import decode_crop
from seg_node.msg import InstanceMaskArray
from seg_node.ros.messages import convert
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, Segmentation

FRAME = Frame(np.zeros((6, 9, 3), np.uint8), "bgr", 1_234_567_890_987_654_321, "left/optical")
LABELS = LabelSet({44: "bottle"})


def test_stamp_and_frame_go_through_unchanged() -> None:
    header = convert.to_header(FRAME)
    assert (header.stamp.sec, header.stamp.nanosec) == (1_234_567_890, 987_654_321)
    assert header.frame_id == "left/optical"
    assert convert.stamp_to_ns(header.stamp) == FRAME.stamp_ns


def test_an_image_message_becomes_a_frame_without_a_copy() -> None:
    pixels = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    message = convert.to_image(pixels, "bgr8", FRAME)
    frame = decode_message(message)
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert (frame.channels, frame.stamp_ns, frame.frame_id) == ("bgr", FRAME.stamp_ns, FRAME.frame_id)
    assert np.shares_memory(frame.pixels, np.frombuffer(message.data, np.uint8))


def test_a_label_image_is_little_endian_with_its_true_step() -> None:
    labels = np.array([[1, 256, 65535], [0, 2, 3]], ">u2")
    message = convert.to_image(labels, "mono16", FRAME)
    assert (message.height, message.width, message.step, message.is_bigendian) == (2, 3, 6, 0)
    np.testing.assert_array_equal(np.frombuffer(message.data, "<u2").reshape(2, 3), labels)


def test_an_instance_goes_over_the_wire_with_all_its_fields() -> None:
    mask = MaskCrop(2, 1, np.array([[True, False, True], [True, True, False]]))
    found = Instances(
        boxes_xyxy=np.array([[1.5, 0.25, 5.5, 3.75]], np.float32),
        scores=np.array([0.75], np.float32),
        class_ids=np.array([44], np.int32),
        masks=(mask,),
        ids=np.array([7], np.uint32),
    )
    message = convert.to_instances(FRAME, Segmentation((6, 9), found), LABELS, "mono8")
    received = deserialize_message(serialize_message(message), InstanceMaskArray)
    (instance,) = received.instances
    assert received.header == convert.to_header(FRAME)
    assert (received.height, received.width) == (6, 9)
    assert (instance.id, instance.class_id, instance.class_name, instance.score) == (7, 44, "bottle", 0.75)
    assert (instance.x_min, instance.y_min, instance.x_max, instance.y_max) == (1.5, 0.25, 5.5, 3.75)
    roi = instance.roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (2, 1, 3, 2)
    assert instance.area == 4
    np.testing.assert_array_equal(decode_crop(instance).pixels, mask.pixels)


def test_nothing_found_is_an_empty_message_of_the_images_size() -> None:
    message = convert.to_instances(FRAME, Segmentation((6, 9), Instances.empty()), LABELS, "rle")
    assert message.instances == [] and (message.height, message.width) == (6, 9)


def test_a_padded_image_message_is_read_by_its_step() -> None:
    rows = np.zeros((2, 16), np.uint8)
    rows[:, :9] = np.arange(18).reshape(2, 9)
    message = Image(
        header=Header(stamp=Time(sec=1)), height=2, width=3, encoding="rgb8", step=16, data=rows.tobytes()
    )
    frame = decode_message(message)
    np.testing.assert_array_equal(frame.pixels.reshape(2, 9), rows[:, :9])
    assert frame.channels == "rgb"
