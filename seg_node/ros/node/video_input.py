# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A camera's video stream: packets are decoded where they are received, in order."""

from collections.abc import Iterator

from seg_node.ros.messages.received_image import ReceivedPicture
from seg_node.ros.messages.video import read_packet
from seg_node.ros.node.diagnostics import FrameStatistics
from seg_node.ros.node.faults import Faults
from seg_node.video.decoder import VideoDecoder
from seg_node.video.picture import Picture


class VideoInput:
    """Decodes the messages of one subscription and counts those without a picture. Not thread-safe."""

    def __init__(self, transport: str, statistics: FrameStatistics, faults: Faults) -> None:
        """transport: ffmpeg or compressed_video. Raises RuntimeError when PyAV is not installed."""
        self._transport, self._statistics, self._faults = transport, statistics, faults
        self._decoder = VideoDecoder()

    @property
    def pending(self) -> int:
        """The number of messages whose picture has not come yet."""
        return self._decoder.pending

    def note_loss(self) -> None:
        """Note that the middleware lost messages."""
        self._decoder.note_loss()

    def decode(self, data: bytes, topic: str) -> Iterator[ReceivedPicture]:
        """Decode a serialised message; yield the pictures that are complete, in order of display.

        topic: named in the log. Raises Unreadable, and ImageError unknown_encoding.
        """
        for outcome in self._decoder.decode(read_packet(data, self._transport)):
            if isinstance(outcome, Picture):
                yield ReceivedPicture(outcome.token, outcome)
            elif outcome.is_fault:
                self._faults.drop(outcome.reason, f"{topic}: {outcome.text}")
            else:
                self._statistics.dropped(outcome.reason)
