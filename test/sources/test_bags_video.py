# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Bags whose images are packets of a video."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from video_bags import FFMPEGPacket, ffmpeg, foxglove, video
from video_stream import encode, number_of
from written_bags import STORE, Header, Time, depth, header, image, write_bag

from seg_node.sources.bags.companions import find_companions, read_with_companions
from seg_node.sources.bags.frames import describe_bag, read_bag
from seg_node.sources.source import open_source
from seg_node.video import decoder


@pytest.mark.parametrize(
    ("make", "topic"), [(ffmpeg, "/front/image_raw/ffmpeg"), (foxglove, "/front/image_raw/foxglove")]
)
def test_every_picture_is_read_with_its_stamp(tmp_path: Path, make: Any, topic: str) -> None:
    bag = write_bag(tmp_path / "bag", {topic: video(encode("h264", 12), make)})
    source = open_source([bag])
    assert (source.kind, source.count) == ("bag", 12)
    frames = list(source.frames)
    assert [name for name, _ in frames] == [f"bag_{index:06d}" for index in range(12)]
    assert [number_of(frame.pixels) for _, frame in frames] == list(range(12))
    assert [frame.stamp_ns for _, frame in frames] == [(100 + index) * 10**9 + 250 for index in range(12)]
    assert {(frame.channels, frame.frame_id) for _, frame in frames} == {("bgr", "optical_frame")}


def test_pictures_of_b_frames_come_in_order_up_to_the_last(tmp_path: Path) -> None:
    stream = encode("h264", 20, b_frames=2, options={"preset": "fast", "x264-params": "b-adapt=0"})
    frames = list(read_bag(write_bag(tmp_path / "bag", {"/video": video(stream)})))
    assert [number_of(frame.pixels) for _, frame in frames] == list(range(20))
    assert [frame.stamp_ns // 10**9 - 100 for _, frame in frames] == list(range(20))


def test_what_cannot_be_decoded_is_reported_by_reason(tmp_path: Path) -> None:
    stream = encode("h264", 30)
    messages = video(stream)
    left = [message for index, message in enumerate(messages) if index > 4 and index != 15]
    bag = write_bag(tmp_path / "bag", {"/video": left})
    errors: list[tuple[str, str]] = []
    frames = list(read_bag(bag, None, lambda name, error: errors.append((name, str(error).split(":")[0]))))
    shown = [number_of(frame.pixels) for _, frame in frames]
    assert shown == [*range(10, 15), *range(20, 30)]
    early = [(f"bag_{index:06d}", "awaiting_key_frame") for index in range(5)]
    late = [(f"bag_{index:06d}", "awaiting_key_frame") for index in range(11, 14)]
    assert errors == [*early, ("bag_000010", "lost_packet"), *late]


def test_a_bag_that_begins_between_key_frames_is_read_without_an_error(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/video": video(encode("h264", 20)[3:])})
    assert [number_of(frame.pixels) for _, frame in read_bag(bag)] == list(range(10, 20))


def test_a_loss_is_an_error_where_none_are_collected(tmp_path: Path) -> None:
    messages = video(encode("h264", 20))
    del messages[5]
    with pytest.raises(ValueError, match=r"bag_000005: lost_packet: .*frame_num is 6 after 4"):
        list(read_bag(write_bag(tmp_path / "bag", {"/video": messages})))


def test_a_raw_topic_is_read_rather_than_its_video(tmp_path: Path) -> None:
    topics = {"/front": [image(0)], "/front/ffmpeg": video(encode("h264", 2))}
    assert describe_bag(write_bag(tmp_path / "bag", topics)).topic == "/front"


def test_calibration_and_depth_go_with_a_video(tmp_path: Path) -> None:
    camera_info = STORE.types["sensor_msgs/msg/CameraInfo"]
    region = STORE.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    zeros = [np.zeros(9), np.zeros(9), np.zeros(12)]
    infos = [camera_info(header(i), 288, 384, "", np.zeros(0), *zeros, 0, 0, region) for i in range(3)]
    topics = {
        "/front/image_raw/foxglove": video(encode("h264", 3), foxglove),
        "/front/camera_info": infos,
        "/front/depth": [depth(i) for i in range(3)],
    }
    bag = write_bag(tmp_path / "bag", topics)
    companions = find_companions(bag)
    assert {each.name: each.role for each in companions} == {
        "/front/camera_info": "camera_info",
        "/front/depth": "depth",
    }
    shots = list(read_with_companions(bag, None, companions))
    assert [number_of(frame.pixels) for _, frame, _ in shots] == [0, 1, 2]
    assert [len(own) for _, _, own in shots] == [2, 2, 2]


def test_damaged_packets_cost_only_themselves_and_their_followers(tmp_path: Path) -> None:
    stamp_only = FFMPEGPacket(Header(Time(1, 2), ""), 0, 0, "mpeg9", 0, 0, False, np.zeros(3, np.uint8))
    messages = [*video(encode("h264", 4)), stamp_only, *video(encode("h264", 3))]
    errors: list[str] = []
    bag = write_bag(tmp_path / "bag", {"/video": messages})
    frames = list(read_bag(bag, None, lambda _, error: errors.append(str(error))))
    assert [number_of(frame.pixels) for _, frame in frames] == [0, 1, 2, 3, 0, 1, 2]
    assert len(errors) == 1 and "'mpeg9' is not supported" in errors[0]


def test_without_pyav_the_package_to_install_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = write_bag(tmp_path / "bag", {"/video": video(encode("h264", 2))})
    monkeypatch.setattr(decoder, "av", None)
    with pytest.raises(RuntimeError, match=r"/video is a video; .*pip install 'av>=17'"):
        open_source([bag])
