# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read image messages from their bytes on the wire (OMG's CDR) without copying the pixels.

The middleware would allocate the length that a message declares before it checks the data, and silently drops
messages that it cannot read, so that none is counted; rclpy would copy the pixels once more.
"""

import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from seg_node.errors import Refused
from seg_node.video.picture import Picture

BYTE_ORDERS = {b"\x00\x00": ">", b"\x00\x01": "<"}  # plain CDR
_BODY = 4  # bytes before the first field


class Unreadable(Refused, ValueError):
    """The bytes are not a message of that type."""

    def __init__(self, text: str) -> None:
        super().__init__("unreadable", text)


@dataclass(frozen=True)
class ReceivedImage:
    """A sensor_msgs/Image; data: a view of the received bytes."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


@dataclass(frozen=True)
class ReceivedCompressedImage:
    """A sensor_msgs/CompressedImage; data: a view of the received bytes."""

    header: Header
    format: str
    data: memoryview


@dataclass(frozen=True)
class ReceivedPicture:
    """A picture of a video stream, with the header of its packet."""

    header: Header
    picture: Picture


AnyImage: TypeAlias = ReceivedImage | ReceivedCompressedImage | ReceivedPicture | Image | CompressedImage


def read_image(data: bytes) -> AnyImage:
    """Read a sensor_msgs/Image. Raises Unreadable."""
    order = BYTE_ORDERS.get(data[:2])
    if order is None:  # another representation, which the middleware can read
        return deserialize(data, Image)
    reader = Reader(data, order)
    header = reader.header()
    height, width = reader.number(), reader.number()
    encoding, big_endian = reader.text(), reader.byte()
    step = reader.number()
    return ReceivedImage(header, height, width, encoding, big_endian, step, reader.rest())


def read_compressed_image(data: bytes) -> AnyImage:
    """Read a sensor_msgs/CompressedImage. Raises Unreadable."""
    order = BYTE_ORDERS.get(data[:2])
    if order is None:
        return deserialize(data, CompressedImage)
    reader = Reader(data, order)
    return ReceivedCompressedImage(reader.header(), reader.text(), reader.rest())


def deserialize(data: bytes, kind: type[Any]) -> Any:
    """Deserialise by the middleware. Raises Unreadable."""
    try:
        return deserialize_message(data, kind)
    except Exception as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


class Reader:
    """Reads fields in order; a number starts at a multiple of its size."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._position = _BODY
        self._unsigned = struct.Struct(f"{order}I")
        self._signed = struct.Struct(f"{order}i")
        self._long = struct.Struct(f"{order}Q")

    def header(self) -> Header:
        stamp = Time(sec=self._unpack(self._signed), nanosec=self.number())
        return Header(stamp=stamp, frame_id=self.text())

    def number(self) -> int:
        return self._unpack(self._unsigned)

    def long_number(self) -> int:
        self._position += -(self._position - _BODY) % self._long.size
        return self._unpack(self._long)

    def byte(self) -> int:
        return self._take(1)[0]

    def text(self) -> str:
        """Read a string; bytes that are not UTF-8 are replaced, as it is only compared and forwarded."""
        return bytes(self._take(self.number())).rstrip(b"\0").decode("utf-8", "replace")

    def rest(self) -> memoryview:
        """Read a sequence of bytes, usually the one that ends the message."""
        return self._take(self.number())

    def _unpack(self, kind: struct.Struct) -> int:
        self._position += -self._position % 4
        (value,) = kind.unpack(self._take(kind.size))
        return int(value)

    def _take(self, count: int) -> memoryview:
        begin, self._position = self._position, self._position + count
        if self._position > len(self._data):
            raise Unreadable(
                f"a field of {count} bytes at byte {begin}, but the message has {len(self._data)}"
            )
        return memoryview(self._data)[begin : self._position]
