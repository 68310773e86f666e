# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Messages and back: header, layout and bytes of what the node publishes."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from seg_node.images.decode import decode_message
from seg_node.ros.messages import convert
from seg_node.types import Frame

FRAME = Frame(np.zeros((6, 9, 3), np.uint8), "bgr", 1_234_567_890_987_654_321, "left/optical")


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


def test_a_padded_image_message_is_read_by_its_step() -> None:
    rows = np.zeros((2, 16), np.uint8)
    rows[:, :9] = np.arange(18).reshape(2, 9)
    message = Image(
        header=Header(stamp=Time(sec=1)), height=2, width=3, encoding="rgb8", step=16, data=rows.tobytes()
    )
    frame = decode_message(message)
    np.testing.assert_array_equal(frame.pixels.reshape(2, 9), rows[:, :9])
    assert frame.channels == "rgb"
