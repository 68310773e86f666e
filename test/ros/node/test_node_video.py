# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The real node on a camera's video topic."""

import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("ffmpeg_image_transport_msgs.msg", reason="ffmpeg_image_transport_msgs is not installed")
pytest.importorskip("foxglove_msgs.msg", reason="foxglove_msgs is not installed")

from diagnostic_msgs.msg import DiagnosticArray
from ffmpeg_image_transport_msgs.msg import FFMPEGPacket
from foxglove_msgs.msg import CompressedVideo
from node_harness import (
    FRAME_ID,
    NODE,
    START_TIMEOUT_S,
    NodeProcess,
    Probe,
    count,
    image_message,
    picture,
    running_node,
    stamp_ms,
    wait_until,
)
from sensor_msgs.msg import Image
from video_stream import Encoded, encode, number_of

TOPICS = {"ffmpeg": "/front/ffmpeg", "compressed_video": "/front/foxglove"}
KINDS = {"ffmpeg": FFMPEGPacket, "compressed_video": CompressedVideo}


def parameters(weights: dict[str, Any], transport: str) -> dict[str, Any]:
    """score_threshold 1: nothing is drawn over the picture in debug_image."""
    reliable = {TOPICS[transport]: {"subscription": {"reliability": "reliable"}}}
    overrides = {**weights["qos_overrides"], **reliable}
    return {**weights, "qos_overrides": overrides, "image_transport": transport, "score_threshold": 1.0}


def message(transport: str, encoding: str, encoded: Encoded, count: int) -> Any:
    """Stamped 1 s, and 100 ms for each picture's number."""
    header = image_message(picture(), 1000 + 100 * encoded.number).header
    data = array.array("B", encoded.data)
    if transport == "ffmpeg":
        return FFMPEGPacket(header=header, encoding=encoding, pts=count, data=data)
    return CompressedVideo(timestamp=header.stamp, frame_id=FRAME_ID, format=encoding, data=data)


def shown(output: Image) -> int:
    """The number that a debug image shows."""
    return number_of(np.frombuffer(output.data, np.uint8).reshape(output.height, output.width, 3))


@pytest.mark.parametrize(
    ("transport", "codec", "encoding"),
    [
        ("ffmpeg", "h264", "h264;yuv420p;bgr8;bgr8"),
        ("ffmpeg", "hevc", "libx265"),
        ("compressed_video", "h264", "h264"),
    ],
)
def test_a_video_is_served_from_key_frame_to_loss_and_again(
    weights: dict[str, Any], tmp_path: Path, probe: Probe, transport: str, codec: str, encoding: str
) -> None:
    stream = [message(transport, encoding, each, i) for i, each in enumerate(encode(codec, 31))]
    with running_node(tmp_path, parameters(weights, transport), {"image": "/front"}) as node:
        heard = probe.listen(Image, f"{NODE}/debug_image")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(KINDS[transport], TOPICS[transport])

        def serve(index: int) -> None:
            camera.publish(stream[index])
            wait_until(lambda: any(stamp_ms(each.header) == 1000 + 100 * index for each in heard), 30, "it")
            output = next(each for each in heard if stamp_ms(each.header) == 1000 + 100 * index)
            assert (shown(output), output.header.frame_id) == (index, FRAME_ID)

        for early in stream[3:10]:
            camera.publish(early)
        wait_until(lambda: count(reports, "dropped.awaiting_key_frame") == 7, 20, "the early ones")
        for index in range(10, 15):
            serve(index)
        for after_loss in stream[16:20]:
            camera.publish(after_loss)
        wait_until(lambda: count(reports, "dropped.awaiting_key_frame") == 10, 20, "those after the loss")
        assert count(reports, "dropped.lost_packet") == 1
        serve(20)
        garbage = message(transport, encoding, Encoded(21, False, b"garbage" * 9), 21)
        camera.publish(garbage)
        wait_until(lambda: count(reports, "dropped.corrupt_image") == 1, 20, "garbage")
        camera.publish(message(transport, "mpeg9", Encoded(22, False, b"data"), 22))
        wait_until(lambda: count(reports, "dropped.unknown_encoding") == 1, 20, "another encoding")
        serve(30)
        wait_until(lambda: count(reports, "processed") == 7, 20, "the last report")
        assert count(reports, "received") == 7 + count(reports, "dropped") == 20
    assert "a packet was lost" in node.log and "Traceback" not in node.log


def test_pictures_of_a_stream_with_b_frames_keep_their_stamps(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    packets = encode("h264", 20, b_frames=2, options={"preset": "fast", "x264-params": "b-adapt=0"})
    stream = [message("ffmpeg", "h264", each, index) for index, each in enumerate(packets)]
    with running_node(tmp_path, parameters(weights, "ffmpeg"), {"image": "/front"}):
        heard = probe.listen(Image, f"{NODE}/debug_image")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(KINDS["ffmpeg"], TOPICS["ffmpeg"])
        for each in stream:
            camera.publish(each)
        wait_until(lambda: any(stamp_ms(each.header) >= 2600 for each in heard), 30, "the last pictures")
        wait_until(lambda: count(reports, "received") == 20, 20, "the report")
        assert count(reports, "dropped") == count(reports, "dropped.replaced_by_newer")
    numbers = [(stamp_ms(each.header) - 1000) // 100 for each in heard]
    assert [shown(each) for each in heard] == numbers == sorted(numbers)


def test_of_decoded_pictures_the_newest_wins(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    """All packets are decoded, or the picture after them would be smeared."""
    stream = [message("ffmpeg", "h264", each, i) for i, each in enumerate(encode("h264", 40, gop=100))]
    slow = {**parameters(weights, "ffmpeg"), "max_rate": 5.0}
    with running_node(tmp_path, slow, {"image": "/front"}):
        heard = probe.listen(Image, f"{NODE}/debug_image")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(KINDS["ffmpeg"], TOPICS["ffmpeg"])
        for each in stream:
            camera.publish(each)
        wait_until(lambda: any(stamp_ms(each.header) == 4900 for each in heard), 30, "the newest picture")
        wait_until(lambda: count(reports, "in_work") == 0 and count(reports, "received") == 40, 20, "sums")
        assert count(reports, "dropped.replaced_by_newer") == count(reports, "dropped") > 20
    assert all(shown(each) == (stamp_ms(each.header) - 1000) // 100 for each in heard)


@pytest.mark.parametrize(
    ("transport", "missing", "words"),
    [
        ("ffmpeg", "av", ["image_transport is ffmpeg", "pip install 'av>=17'"]),
        (
            "ffmpeg",
            "ffmpeg_image_transport_msgs",
            ["ros-$ROS_DISTRO-ffmpeg-image-transport-msgs"],
        ),
        ("compressed_video", "foxglove_msgs", ["apt install ros-$ROS_DISTRO-foxglove-msgs"]),
    ],
)
def test_what_is_missing_for_video_is_named_in_one_line(
    weights: dict[str, Any], tmp_path: Path, transport: str, missing: str, words: list[str]
) -> None:
    start = (
        f"import sys; sys.modules['{missing}'] = None; from seg_node.ros.node.__main__ import main; main()"
    )
    process = NodeProcess(tmp_path, parameters(weights, transport), {}, ("-c", start))
    try:
        process.wait_for_log("cannot configure", START_TIMEOUT_S)
        (line,) = (line for line in process.log.splitlines() if "cannot configure" in line)
    finally:
        process.stop()
    assert all(word in line for word in words), line
    assert "Traceback" not in process.log


def test_a_camera_that_publishes_video_only_is_named_with_the_cure(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights, {"image": "/front"}) as node:
        probe.node.create_publisher(KINDS["ffmpeg"], TOPICS["ffmpeg"], 5)
        node.wait_for_log("but /front/ffmpeg is published: set image_transport to ffmpeg", 30)
