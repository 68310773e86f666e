# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Video packets read from their bytes on the wire, against rclpy's own serialization."""

import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from builtin_interfaces.msg import Time
from ffmpeg_image_transport_msgs.msg import FFMPEGPacket
from foxglove_msgs.msg import CompressedVideo
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from seg_node.images.buffer import ImageError
from seg_node.ros.messages import video
from seg_node.ros.messages.received_image import Unreadable
from seg_node.ros.messages.video import check_installed, is_video, read_packet
from seg_node.video import decoder

pytest.importorskip("ffmpeg_image_transport_msgs.msg", reason="ffmpeg_image_transport_msgs is not installed")
pytest.importorskip("foxglove_msgs.msg", reason="foxglove_msgs is not installed")

STAMPS = st.builds(Time, sec=st.integers(0, 2**31 - 1), nanosec=st.integers(0, 10**9 - 1))
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
ENCODINGS = st.sampled_from(["h264", "h264;yuv420p;bgr8;rgb8", "libx264", "h264;"])
BYTES = st.binary(max_size=40)


def stamp_ns(stamp: Time) -> int:
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


@settings(deadline=None, derandomize=True)
@given(STAMPS, NAMES, ENCODINGS, st.integers(0, 2**64 - 1), st.integers(0, 255), st.booleans(), BYTES)
def test_an_ffmpeg_packet_is_read_as_it_was_written(
    stamp: Time, frame_id: str, encoding: str, pts: int, flags: int, is_bigendian: bool, data: bytes
) -> None:
    header = Header(stamp=stamp, frame_id=frame_id)
    sent = FFMPEGPacket(header=header, width=-3, height=7, encoding=encoding, pts=pts, flags=flags)
    sent.is_bigendian, sent.data = is_bigendian, array.array("B", data)
    packet = read_packet(serialize_message(sent), "ffmpeg")
    assert (packet.codec, packet.data, packet.count) == ("h264", data, pts)
    assert (packet.token, packet.stamp_ns) == (header, stamp_ns(stamp))


@settings(deadline=None, derandomize=True)
@given(STAMPS, NAMES, BYTES)
def test_a_compressed_video_is_read_as_it_was_written(stamp: Time, frame_id: str, data: bytes) -> None:
    sent = CompressedVideo(timestamp=stamp, frame_id=frame_id, format="h265")
    sent.data = array.array("B", data)
    packet = read_packet(serialize_message(sent), "compressed_video")
    assert (packet.codec, packet.data, packet.count) == ("hevc", data, None)
    assert (packet.token, packet.stamp_ns) == (Header(stamp=stamp, frame_id=frame_id), stamp_ns(stamp))


@pytest.mark.parametrize("transport", ["ffmpeg", "compressed_video"])
@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0\1\0\0", b"\0\1\0\0" + b"\xff" * 60, b"no message at all", b"\0\7\0\0"]
)
def test_bytes_that_are_no_message_are_refused(transport: str, data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_packet(data, transport)


def test_another_encoding_is_refused_by_name() -> None:
    with pytest.raises(ImageError, match="'mpeg9'") as refusal:
        read_packet(serialize_message(CompressedVideo(format="mpeg9")), "compressed_video")
    assert refusal.value.reason == "unknown_encoding"


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_images_need_neither_av_nor_message_packages(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "av", None)
    monkeypatch.setattr(video, "_MESSAGES", {"ffmpeg": ("ffmpeg_image_transport_msgs", None)})
    check_installed(transport)
    assert not is_video(transport)
