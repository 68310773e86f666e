# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Frames from the messages of one image topic: images, or packets of a video that are decoded in turn."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seg_node.images.buffer import stamp_to_ns
from seg_node.images.decode import decode_message
from seg_node.types import Frame
from seg_node.video.decoder import Outcomes, VideoDecoder
from seg_node.video.packet import packet_of
from seg_node.video.picture import Picture

# Type → definition, for rosbags, whose own stores lack these.
# ffmpeg_image_transport_msgs is under Apache-2.0, foxglove_msgs under MIT.
VIDEO_TYPES = {
    "ffmpeg_image_transport_msgs/msg/FFMPEGPacket": """std_msgs/Header header
int32 width
int32 height
string encoding
uint64 pts
uint8 flags
bool is_bigendian
uint8[] data
""",
    "foxglove_msgs/msg/CompressedVideo": """builtin_interfaces/Time timestamp
string frame_id
uint8[] data
string format
""",
}
VIDEO_SUFFIXES = ("/ffmpeg", "/foxglove")  # of topics, as image_transport's plugins name them


@dataclass(frozen=True)
class TopicFrame:
    """The outcome of one message. stamp_ns: of its header, or the time of recording if that is 0.

    frame: None where there is none, with the error that says why; is_fault: the error is more than a video
    that begins between two key frames.
    """

    name: str
    stamp_ns: int
    frame: Frame | None
    error: ValueError | None = None
    is_fault: bool = True


@dataclass(frozen=True)
class _Origin:
    name: str
    header_ns: int
    recorded_ns: int
    frame_id: str


def is_video(message: Any) -> bool:
    """Return whether it is an FFMPEGPacket or a CompressedVideo."""
    return hasattr(message, "pts") or hasattr(message, "timestamp")


def frame_id_of(message: Any) -> str:
    """The frame_id of an image or a packet of a video."""
    return str(message.header.frame_id if hasattr(message, "header") else message.frame_id)


class TopicFrames:
    """Decodes the messages of one topic in their order."""

    def __init__(self) -> None:
        self._video: VideoDecoder | None = None

    def read(self, message: Any, name: str, recorded_ns: int) -> Iterator[TopicFrame]:
        """Decode the next message; yield the outcomes that are now known.

        Raises ImageError for an image that cannot be decoded, RuntimeError for a video without PyAV.
        """
        if not is_video(message):
            stamp_ns = stamp_to_ns(message.header.stamp) or recorded_ns
            yield TopicFrame(name, stamp_ns, decode_message(message))
            return
        self._video = self._video or VideoDecoder()
        stamp = message.header.stamp if hasattr(message, "header") else message.timestamp
        origin = _Origin(name, stamp_to_ns(stamp), recorded_ns, frame_id_of(message))
        yield from _frames(self._video.decode(packet_of(message, origin)))

    def end(self) -> Iterator[TopicFrame]:
        """Yield the outcomes of the messages whose picture has not come yet."""
        if self._video is not None:
            yield from _frames(self._video.flush())


def _frames(outcomes: Outcomes) -> Iterator[TopicFrame]:
    for outcome in outcomes:
        origin: _Origin = outcome.token
        stamp_ns = origin.header_ns or origin.recorded_ns
        if isinstance(outcome, Picture):
            frame = Frame(outcome.to_bgr(), "bgr", origin.header_ns, origin.frame_id)
            yield TopicFrame(origin.name, stamp_ns, frame)
        else:
            error = ValueError(f"{outcome.reason}: {outcome.text}")
            yield TopicFrame(origin.name, stamp_ns, None, error, outcome.is_fault)
