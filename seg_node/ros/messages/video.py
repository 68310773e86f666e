# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Video packets of image_transport's plugins, where their message packages are installed.

ffmpeg            ffmpeg_image_transport_msgs/FFMPEGPacket on <image>/ffmpeg (ffmpeg_image_transport)
compressed_video  foxglove_msgs/CompressedVideo on <image>/foxglove (foxglove_compressed_video_transport)
"""

from typing import Any

from std_msgs.msg import Header

from seg_node.images.buffer import stamp_to_ns
from seg_node.ros.messages.received_image import BYTE_ORDERS, Reader, deserialize
from seg_node.video import decoder
from seg_node.video.packet import VideoPacket, codec_of, packet_of

try:
    from ffmpeg_image_transport_msgs.msg import FFMPEGPacket
except ImportError:
    FFMPEGPacket = None
try:
    from foxglove_msgs.msg import CompressedVideo
except ImportError:
    CompressedVideo = None

# image_transport's parameter → the package of its message, the message
_MESSAGES = {
    "ffmpeg": ("ffmpeg_image_transport_msgs", FFMPEGPacket),
    "compressed_video": ("foxglove_msgs", CompressedVideo),
}


def is_video(transport: str) -> bool:
    return transport in _MESSAGES


def check_installed(transport: str) -> None:
    """Raise RuntimeError, which says what to install, when a video transport cannot be read here."""
    if not is_video(transport):
        return
    package, message_type = _MESSAGES[transport]
    if message_type is None:
        apt = f"ros-$ROS_DISTRO-{package.replace('_', '-')}"
        raise RuntimeError(
            f"image_transport is {transport}, but {package} is not installed: apt install {apt}"
        )
    if not decoder.installed():
        raise RuntimeError(f"image_transport is {transport}, and {decoder.MISSING}")


def message_type(transport: str) -> type[Any]:
    """Return the message type of a video transport that `check_installed` accepts."""
    found: type[Any] = _MESSAGES[transport][1]
    return found


def read_packet(data: bytes, transport: str) -> VideoPacket:
    """Read a serialised message; the packet's token is the picture's std_msgs/Header.

    Raises Unreadable, and ImageError unknown_encoding.
    """
    order = BYTE_ORDERS.get(data[:2])
    if order is None:  # another representation: the middleware knows it
        message = deserialize(data, message_type(transport))
        if transport == "ffmpeg":
            return packet_of(message, message.header)
        return packet_of(message, Header(stamp=message.timestamp, frame_id=message.frame_id))
    reader = Reader(data, order)
    header = reader.header()  # CompressedVideo begins with the same fields
    if transport == "ffmpeg":
        reader.number(), reader.number()  # width and height, which the stream states itself
        encoding, count = reader.text(), reader.long_number()
        reader.byte(), reader.byte()  # flags, is_bigendian
        payload = bytes(reader.rest())
    else:
        payload, count = bytes(reader.rest()), None
        encoding = reader.text()
    return VideoPacket(codec_of(encoding), payload, stamp_to_ns(header.stamp), count, header)
