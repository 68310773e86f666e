# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""seg_node play: the player as a process of its own, observed over DDS."""

import importlib.util
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from node_harness import wait_until
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_node.images.decode import decode_message
from seg_node.ros.common.arguments import check_name, split_arguments
from seg_node.ros.demo.report import read_player_log
from seg_node.ros.messages.convert import stamp_to_ns
from seg_node.ros.play.bag_companions import beside, restamp
from seg_node.ros.play.main import due_time, main, step_s, to_message
from seg_node.types import Frame

if TYPE_CHECKING:
    from node_harness import Probe

TOPIC = "/test_play/image"
DEMO = Path(__file__).resolve().parents[3] / "demo/tabletop"
# (2, 3, 3), every value different: no two channels, rows or columns can be mixed up unseen.
PIXELS = np.arange(10, 28, dtype=np.uint8).reshape(2, 3, 3)


@contextmanager
def playing(*arguments: str | Path) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "seg_node.cli", "play", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as player:
        try:
            yield player
        finally:
            player.kill()


def subscribe(probe: "Probe", kind: type[Any] = Image, topic: str = TOPIC) -> list[Any]:
    """Subscribe as a camera's subscriber would; the returned list grows with every message."""
    received: list[Any] = []
    qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
    probe.node.create_subscription(kind, topic, received.append, qos)
    return received


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five PNG images of rising height; pixel values are those of `expected`."""
    for index in range(5):
        cv2.imwrite(str(tmp_path / f"{index}.png"), cv2.cvtColor(expected(index), cv2.COLOR_RGB2BGR))
    return tmp_path


def expected(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (8 + index, 12, 3), np.uint8)


@pytest.mark.parametrize(
    ("last_due", "step", "now", "due"),
    [
        (0.0, 0.0, 7.0, 7.0),
        (7.0, 0.1, 7.02, 7.1),
        (7.0, 0.1, 7.1, 7.1),
        (7.0, 0.1, 7.5, 7.5),
        (7.5, 0.1, 7.5, 7.6),
    ],
)
def test_a_late_frame_delays_those_that_follow(last_due: float, step: float, now: float, due: float) -> None:
    assert due_time(last_due, step, now) == pytest.approx(due)


@pytest.mark.parametrize(
    ("last_ms", "now_ms", "rate", "seconds"),
    [
        (None, 5000, None, 0.0),
        (None, 5000, 4.0, 0.0),
        (5000, 5040, None, 0.04),
        (5000, 5040, 4.0, 0.25),
        (5000, 5000, None, 0.5),  # stamps stand still
        (5000, 4000, None, 0.5),  # a new round
        (5000, 65000, None, 0.5),  # a gap in the recording
        (5000, 7000, None, 2.0),
    ],
)
def test_steps_follow_rate_or_recording(
    last_ms: int | None, now_ms: int, rate: float | None, seconds: float
) -> None:
    last_ns = None if last_ms is None else last_ms * 10**6
    assert step_s(last_ns, now_ms * 10**6, rate, 0.5) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        (None, PIXELS),
        ("rgb8", PIXELS),
        ("bgr8", PIXELS[..., ::-1]),
        ("rgba8", np.dstack([PIXELS, np.full((2, 3), 255)])),
        ("bgra8", np.dstack([PIXELS[..., ::-1], np.full((2, 3), 255)])),
    ],
)
def test_pixels_have_the_requested_encoding(encoding: str | None, data: NDArray[np.uint8]) -> None:
    message = to_message(Frame(PIXELS, "rgb"), encoding, compressed=False)
    assert message.encoding == (encoding or "rgb8")
    assert (message.height, message.width, message.step) == (2, 3, data.shape[2] * 3)
    assert bytes(message.data) == data.astype(np.uint8).tobytes()


def test_mono8_is_the_luminance() -> None:
    message = to_message(Frame(PIXELS, "rgb"), "mono8", compressed=False)
    luminance = PIXELS.astype(float) @ [0.299, 0.587, 0.114]  # ITU-R BT.601
    assert np.abs(np.frombuffer(message.data, np.uint8).reshape(2, 3) - luminance).max() <= 0.51


def test_a_mono_frame_stays_mono8() -> None:
    message = to_message(Frame(PIXELS[..., 0], "mono"), None, compressed=False)
    assert (message.encoding, bytes(message.data)) == ("mono8", PIXELS[..., 0].tobytes())


def test_images_come_in_order_at_their_rate_with_current_stamps(folder: Path, probe: "Probe") -> None:
    log = folder / "sent.csv"
    received = subscribe(probe)
    began = time.time_ns()
    with playing(folder, "--topic", TOPIC, "--rate", "20", "--log", log) as player:
        assert player.wait(60) == 0, player.communicate()[0]
    wait_until(lambda: len(received) == 5, 5, "5 images")
    for index, message in enumerate(received):
        assert message.encoding == "rgb8"
        assert message.header.frame_id == "camera_optical_frame"
        assert np.array_equal(decode_message(message).pixels, expected(index))
    stamps = [stamp_to_ns(message.header.stamp) for message in received]
    assert began < stamps[0] and stamps[-1] < time.time_ns()
    # 50 ms apart; a busy machine may send one late, and then no burst follows.
    assert all(later - earlier > 25e6 for earlier, later in itertools.pairwise(stamps))
    sent = read_player_log(log)
    assert [(image.index, image.stamp_ns, image.name) for image in sent] == [
        (index, stamp, f"{index}.png") for index, stamp in enumerate(stamps)
    ]


def test_a_looped_bag_keeps_stamps_and_frame(tmp_path: Path, probe: "Probe") -> None:
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    import written_bags

    bag = written_bags.write_bag(
        tmp_path / "run", {"/camera": [written_bags.image(index) for index in range(3)]}
    )
    received = subscribe(probe)
    with playing(bag, "--topic", TOPIC, "--keep-stamps", "--loop", "--frames", "5", "--rate", "50") as player:
        assert player.wait(60) == 0, player.communicate()[0]
    wait_until(lambda: len(received) == 5, 5, "5 images")
    assert [message.header.stamp.sec for message in received] == [100, 101, 102, 100, 101]
    assert {message.header.frame_id for message in received} == {"optical_frame"}
    assert np.array_equal(decode_message(received[0]).pixels, written_bags.PIXELS)


def test_a_bags_calibration_and_depth_come_with_the_images_and_pairs_stay_pairs(
    tmp_path: Path, probe: "Probe"
) -> None:
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    import recorded_camera as recorded

    bag = recorded.write_camera(tmp_path / "run", count=4, depth_later_ns=3_000_000)
    images = subscribe(probe)
    calibrations = subscribe(probe, CameraInfo, "/test_play/camera_info")
    depths = subscribe(probe, Image, "/test_play/depth/image_raw")
    began = time.time_ns()
    with playing(bag, "--topic", TOPIC, "--rate", "20", "--frame-id", "front", "--frames", "3") as player:
        assert player.wait(60) == 0, player.communicate()[0]
        output = player.communicate()[0]
    wait_until(lambda: len(images) == len(calibrations) == len(depths) == 3, 5, "3 of each")
    assert "with /test_play/camera_info, /test_play/depth/image_raw" in output
    for index, (image, calibration, depth) in enumerate(zip(images, calibrations, depths, strict=True)):
        assert calibration.header == image.header and image.header.frame_id == "front"
        assert began < stamp_to_ns(image.header.stamp) < time.time_ns()
        assert list(calibration.k) == recorded.K and (calibration.height, calibration.width) == (4, 6)
        assert stamp_to_ns(depth.header.stamp) - stamp_to_ns(image.header.stamp) == 3_000_000
        assert (depth.encoding, depth.header.frame_id) == ("16UC1", "front")
        assert np.frombuffer(depth.data, np.uint16).tolist() == [1000 + index] * 24


def test_a_bags_video_is_played_as_images(tmp_path: Path, probe: "Probe") -> None:
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    pytest.importorskip("av", reason="PyAV is not installed")
    from video_bags import video
    from video_stream import encode, number_of
    from written_bags import write_bag

    bag = write_bag(tmp_path / "run", {"/front/image_raw/ffmpeg": video(encode("h264", 6))})
    heard = subscribe(probe)
    with playing(bag, "--topic", TOPIC, "--keep-stamps", "--rate", "20") as player:
        wait_until(lambda: len(heard) == 6, 60, "all pictures")
        assert player.wait(20) == 0
    assert [number_of(decode_message(image).pixels) for image in heard] == list(range(6))
    assert [image.header.stamp.sec for image in heard] == list(range(100, 106))
    assert {(image.encoding, image.header.frame_id) for image in heard} == {("bgr8", "optical_frame")}


def test_the_demos_bag_is_a_depth_camera(probe: "Probe") -> None:
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    images, calibrations = subscribe(probe), subscribe(probe, CameraInfo, "/test_play/camera_info")
    depths = subscribe(probe, CompressedImage, "/test_play/d/compressedDepth")
    arguments = ("--topic", TOPIC, "--depth-topic", "/test_play/d", "--keep-stamps", "--frames", "2")
    with playing(DEMO, *arguments) as player:
        output = player.communicate(timeout=60)[0]
    wait_until(lambda: len(images) == len(calibrations) == len(depths) == 2, 5, "2 of each")
    stamps = [[stamp_to_ns(each.header.stamp) for each in some] for some in (images, calibrations, depths)]
    assert stamps == [[1_767_225_600 * 10**9, 1_767_225_600 * 10**9 + 80_000_000]] * 3
    assert {each.header.frame_id for each in (*images, *calibrations, *depths)} == {
        "camera_color_optical_frame"
    }
    # 48 degrees high, 480 rows: focal length 240 / tan 24 degrees.
    assert calibrations[0].k[0] == pytest.approx(539.05, abs=0.01)
    assert calibrations[0].k[2] == 319.5 and calibrations[0].k[5] == 239.5
    assert depths[0].format == "16UC1; compressedDepth png"
    millimetres = cv2.imdecode(np.frombuffer(depths[0].data, np.uint8)[12:], cv2.IMREAD_UNCHANGED)
    assert millimetres.shape == (480, 640) and 700 < np.median(millimetres) < 1500
    if importlib.util.find_spec("tf2_msgs") is None:
        assert output.count("left out /tf: tf2_msgs is not installed") == 1


def test_tf_is_restamped_with_the_images_and_static_tf_reaches_late_subscribers(
    tmp_path: Path, probe: "Probe"
) -> None:
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    tf2 = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed")
    import recorded_camera as recorded

    start_ns, messages = recorded.START_NS, []
    for index in range(3):
        stamp_ns = start_ns + index * recorded.PERIOD_NS
        moving = recorded.transform(stamp_ns - 2_000_000, "base", "arm", 0.5 + index)
        messages += [("/image", stamp_ns, recorded.colour_at(stamp_ns)), ("/tf", stamp_ns, moving)]
    messages.append(("/tf_static", start_ns, recorded.transform(start_ns, "arm", "camera", 0.25)))
    bag = recorded.write_messages(tmp_path / "run", sorted(messages, key=lambda message: message[1]))
    images, tf = subscribe(probe), subscribe(probe, tf2.TFMessage, "/tf")
    still: list[Any] = []
    with playing(bag, "--topic", TOPIC, "--loop", "--rate", "20", "--frame-id", "front") as player:
        wait_until(lambda: len(images) > 2 and len(tf) > 2, 60, "images and tf")
        qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        probe.node.create_subscription(tf2.TFMessage, "/tf_static", still.append, qos)
        wait_until(lambda: bool(still), 10, "static tf")
        player.send_signal(signal.SIGINT)
        assert player.wait(30) == 0
    first = tf[0].transforms[0]
    assert (first.header.frame_id, first.child_frame_id) == ("base", "arm")
    assert [each.transforms[0].transform.translation.x for each in tf[:3]] == [0.5, 1.5, 2.5]
    assert stamp_to_ns(first.header.stamp) == stamp_to_ns(images[0].header.stamp) - 2_000_000
    assert still[0].transforms[0].child_frame_id == "camera"


def test_compressed_images_go_to_the_compressed_topic_until_ctrl_c(folder: Path, probe: "Probe") -> None:
    received = subscribe(probe, CompressedImage, f"{TOPIC}/compressed")
    arguments = ("--topic", TOPIC, "--compressed", "--loop", "--rate", "50", "--frame-id", "front")
    with playing(folder / "4.png", *arguments) as player:
        wait_until(lambda: len(received) > 1, 60, "two images")
        player.send_signal(signal.SIGINT)
        assert player.wait(30) == 0
        output = player.communicate()[0]
    assert "Traceback" not in output
    published = re.search(r"published (\d+) images in", output)
    assert published and int(published[1]) >= 2
    assert "jpeg" in received[0].format and received[0].header.frame_id == "front"
    assert decode_message(received[0]).pixels.shape == (12, 12, 3)


@pytest.mark.parametrize(
    ("recorded_ns", "expected_ns"), [(5_000, 70_000), (5_010, 70_010), (4_990, 69_990), (0, 70_000)]
)
def test_stamps_shift_with_the_images(recorded_ns: int, expected_ns: int) -> None:
    message = CameraInfo()
    message.header.stamp.nanosec = recorded_ns
    restamp(message, image_ns=5_000, now_ns=70_000)
    assert stamp_to_ns(message.header.stamp) == expected_ns


def test_without_an_image_stamp_all_stamps_are_now() -> None:
    message = CameraInfo()
    message.header.stamp.sec = 2_000_000_000
    restamp(message, image_ns=0, now_ns=2_000_000_001 * 10**9)
    assert message.header.stamp.sec == 2_000_000_001


@pytest.mark.parametrize(
    ("topic", "expected"), [("/camera/image_raw", "/camera/x"), ("image", "x"), ("/image", "/x")]
)
def test_beside_is_the_same_namespace(topic: str, expected: str) -> None:
    assert beside(topic, "x") == expected


def test_without_a_subscriber_it_gives_up_and_names_the_topic(folder: Path) -> None:
    with playing(folder, "--topic", "/nobody/here", "--wait", "1.2") as player:
        output = player.communicate(timeout=60)[0]
    assert player.returncode == 1
    assert output.startswith("waiting for a subscriber of /nobody/here (up to 1.2 s)\n")
    assert "/nobody/here" in output and "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "0"], "--rate is 0"),
        (["--keep-stamps"], "only bags have stamps"),
        (["--bag-depth-topic", "/depth"], "only bags have topics"),
        (["--frames", "0"], "--frames is 0: must be 1 or more"),
        (["--wait", "nan"], "--wait is nan"),
        (["--wait", "-1"], "--wait is -1"),
        (["--topic", "a b"], "--topic 'a b' cannot be the name of a topic: give letters, digits and _"),
        (["--topic", "/a/"], "--topic '/a/' cannot"),
        (["--topic", "/a//b"], "--topic '/a//b' cannot"),
        (["--topic", "/1/a"], "--topic '/1/a' cannot"),
        (["--topic", ""], "--topic '' cannot"),
        (["--topic", "a\nb\udce9"], r"--topic 'a\\nb\\udce9' cannot"),
        (["--topic", "/" + "x" * 240, "--compressed"], "at most 247 characters"),
        (["--depth-topic", "{x}"], "--depth-topic '{x}' cannot"),
        (["--frame-id", "\udce9"], r"--frame-id '\\udce9' cannot be the name of a frame"),
    ],
)
def test_invalid_arguments_are_refused(folder: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        main([str(folder), *arguments])


@pytest.mark.parametrize("name", ["/camera/image_raw", "image", "~/image", "/_a/b2", "/" + "x" * 246])
def test_valid_topic_names_are_accepted(name: str) -> None:
    check_name("--topic", name)


def test_a_missing_source_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["/nowhere/at_all"])
    assert "/nowhere/at_all: no such image, video, bag or folder" in capsys.readouterr().err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cameras have other names there")
@pytest.mark.parametrize("camera", ["/dev/video977", "977"])
def test_a_camera_that_does_not_exist_fails_at_once(camera: str) -> None:
    with pytest.raises(FileNotFoundError, match="/dev/video977: no such camera; available: "):
        main([camera])


@pytest.mark.parametrize("name", [b"clip.avi", b"\xe9t\xe9%03d.avi"])
def test_a_damaged_video_is_played_to_its_end_and_the_exit_status_is_1(
    tmp_path: Path, probe: "Probe", name: bytes
) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "whole.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 50, (64, 48))
    for grey in range(100, 220, 10):
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    data = (tmp_path / "whole.avi").read_bytes()
    cut = tmp_path / os.fsdecode(name)
    cut.write_bytes(data[: data.index(b"00dc", len(data) * 2 // 3)])
    received = subscribe(probe)
    log = tmp_path / "log.csv"
    with playing(cut, "--topic", TOPIC, "--log", log, "--ros-args", "--log-level", "warn") as player:
        output = player.communicate(timeout=60)[0]
    assert player.returncode == 1
    published = re.search(r"published (\d+) images in", output)
    assert published and 0 < int(published[1]) < 12
    assert f"{published[1]} of 12 frames can be read: the file is cut off or damaged" in output
    wait_until(lambda: len(received) == int(published[1]), 5, "the images")
    assert len(log.read_text().splitlines()) == len(received)


def test_a_stamp_beyond_ros_time_is_replaced_or_skipped(tmp_path: Path, probe: "Probe") -> None:
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    import recorded_camera as recorded

    late = recorded.colour_at((2**31 - 1) * 10**9)
    late.header.stamp.nanosec = 2**32 - 1
    images = [recorded.colour_at(10**9), late, recorded.colour_at(2 * 10**9)]
    messages = [("/image", index, image) for index, image in enumerate(images)]
    bag = recorded.write_messages(tmp_path / "run", messages)
    received = subscribe(probe)
    with playing(bag, "--topic", TOPIC, "--rate", "50") as player:
        assert player.wait(60) == 0, player.communicate()[0]
    wait_until(lambda: len(received) == 3, 5, "all three, with current stamps")
    received.clear()
    with playing(bag, "--topic", TOPIC, "--rate", "50", "--keep-stamps") as player:
        output = player.communicate(timeout=60)[0]
    wait_until(lambda: len(received) == 2, 5, "the two with stamps")
    assert player.returncode == 1 and "left out run_000001: its stamp is 2.1474836" in output


def test_a_companion_with_a_stamp_beyond_ros_time_is_skipped(tmp_path: Path, probe: "Probe") -> None:
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    import recorded_camera as recorded

    strange = recorded.calibration(1_900_000_000 * 10**9)
    messages = [("/image", 0, recorded.colour_at(10**9)), ("/camera_info", 1, strange)]
    bag = recorded.write_messages(tmp_path / "run", messages)
    received, calibrations = subscribe(probe), subscribe(probe, CameraInfo, "/test_play/camera_info")
    with playing(bag, "--topic", TOPIC, "--rate", "50") as player:
        output = player.communicate(timeout=60)[0]
    wait_until(lambda: len(received) == 1, 5, "the image")
    assert player.returncode == 1 and not calibrations and "Traceback" not in output
    assert "left out /test_play/camera_info near run_000000: its stamp is 3" in output


@pytest.mark.parametrize("arguments", [[], ["--loop"]])
def test_a_source_without_a_readable_image_ends(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0")
    with playing(tmp_path, "--wait", "0", *arguments) as player:
        output = player.communicate(timeout=60)[0]
    assert player.returncode == 1
    assert "left out a.png: " in output and "published 0 images" in output


def test_ros_arguments_are_separated_from_our_own() -> None:
    own, ros = split_arguments(
        ["a.mp4", "--ros-args", "-r", "x:=y", "--", "--loop", "--ros-args", "-p", "a:=1"]
    )
    assert own == ["a.mp4", "--loop"]
    assert ros == ["--ros-args", "-r", "x:=y", "--", "--ros-args", "-p", "a:=1"]
    assert split_arguments(["--", "-x.mp4"]) == (["--", "-x.mp4"], [])
