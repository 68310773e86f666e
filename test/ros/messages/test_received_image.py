# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Images read from their bytes on the wire, against rclpy's own serialization."""

import array
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from seg_node.ros.messages.received_image import AnyImage, Unreadable, read_compressed_image, read_image

HEADERS = st.builds(
    lambda sec, nanosec, frame_id: Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**32 - 1),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
)
TEXTS = st.text("abc8_;/ ", max_size=9)
BYTES = st.binary(max_size=40)


@settings(deadline=None, derandomize=True)
@given(HEADERS, st.tuples(*[st.integers(0, 2**32 - 1)] * 3), TEXTS, st.integers(0, 255), BYTES)
def test_an_image_is_read_as_it_was_written(
    header: Header, numbers: tuple[int, int, int], encoding: str, big_endian: int, data: bytes
) -> None:
    height, width, step = numbers
    sent = Image(header=header, height=height, width=width, encoding=encoding, step=step)
    sent.is_bigendian, sent.data = big_endian, array.array("B", data)
    read = read_image(serialize_message(sent))
    assert (read.header, read.height, read.width, read.encoding) == (header, height, width, encoding)
    assert (read.is_bigendian, read.step, bytes(read.data)) == (big_endian, step, data)


@settings(deadline=None, derandomize=True)
@given(HEADERS, TEXTS, BYTES)
def test_a_compressed_image_is_read_as_it_was_written(header: Header, form: str, data: bytes) -> None:
    sent = CompressedImage(header=header, format=form, data=array.array("B", data))
    read = read_compressed_image(serialize_message(sent))
    assert (read.header, read.format, bytes(read.data)) == (header, form, data)


def test_the_other_byte_order_is_read_too() -> None:
    little = serialize_message(Image(height=3, width=258, encoding="mono8", step=258, data=[1, 2]))
    words = np.frombuffer(little[4:48], "<u4")
    # stamp (2), frame_id (length, "\0"), height, width, encoding (length, text, "\0"), …
    assert words[4:6].tolist() == [3, 258]
    big = bytearray(little)
    big[1] = 0
    for begin in (0, 4, 8, 16, 20, 24, 36, 40):  # every number, counted behind the encapsulation
        big[4 + begin : 8 + begin] = big[4 + begin : 8 + begin][::-1]
    read = read_image(bytes(big))
    assert (read.height, read.width, read.encoding, read.step) == (3, 258, "mono8", 258)
    assert bytes(read.data) == b"\1\2"


@pytest.mark.parametrize("read", [read_image, read_compressed_image])
@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0\1\0\0", bytes(20), b"\0\1\0\0" + b"\xff" * 60, b"no message at all"]
)
def test_bytes_that_are_no_message_are_refused(read: Callable[[bytes], AnyImage], data: bytes) -> None:
    with pytest.raises(Unreadable):
        read(data)


def test_a_length_beyond_the_message_is_refused_before_memory_is_allocated() -> None:
    good = serialize_message(Image(height=3, width=2, encoding="mono8", step=2, data=bytes(6)))
    assert good[-10:-6] == b"\6\0\0\0"
    with pytest.raises(Unreadable, match="4294967280 bytes"):
        read_image(good[:-10] + b"\xf0\xff\xff\xff" + good[-6:])
