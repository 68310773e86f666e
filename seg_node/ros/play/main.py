# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node play`: publish images, a video, a ROS bag or a camera on an image topic in real time.

Frames are published best effort, as cameras do, and stamped when they are sent; a bag's CameraInfo, depth and
tf are sent with them. The process only publishes: its node does not spin.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TextIO

import cv2
import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image

from seg_node.drawing.draw import to_bgr
from seg_node.ros.common import memory
from seg_node.ros.common.arguments import split_arguments
from seg_node.ros.common.signals import Interrupt
from seg_node.ros.messages import convert
from seg_node.ros.play import bag_companions
from seg_node.ros.play.arguments import IMAGES_RATE_HZ, check, check_with_source, create_parser
from seg_node.sources.bags.companions import Companion, CompanionTopic, find_companions, read_with_companions
from seg_node.sources.left_out import LeftOut
from seg_node.sources.source import Source, open_source
from seg_node.types import Frame
from seg_node.untrusted.printable import one_line

JPEG_QUALITY = 90
# A longer gap between two recorded stamps is skipped: it is a pause or a fault of the recording.
LONGEST_GAP_S = 10.0
# Best effort has no acknowledgement: an immediate exit could lose the last images.
LINGER_S = 0.5
# Wait for a subscriber before the wait is reported.
QUIET_WAIT_S = 1.0
# A discovered subscriber needs a moment more to discover the publisher.
MATCH_S = 0.2

FROM_BGR = {
    "bgr8": None,
    "rgb8": cv2.COLOR_BGR2RGB,
    "bgra8": cv2.COLOR_BGR2BGRA,
    "rgba8": cv2.COLOR_BGR2RGBA,
    "mono8": cv2.COLOR_BGR2GRAY,
}


@dataclass(frozen=True)
class Topics:
    """Publishers of the images and of a bag's other messages, the latter keyed by topic name in the bag."""

    image: Publisher
    companions: dict[str, Publisher]


@dataclass(frozen=True)
class Player:
    """The state that all frames share."""

    node: Node
    topics: Topics
    options: argparse.Namespace
    interrupt: Interrupt
    left_out: LeftOut


Shot = tuple[int, str, Frame, list[Companion]]  # index in the source, name, frame, companions


def main(argv: Sequence[str] | None = None) -> int:
    """Publish the source and return the exit status: 1 when part of it could not be read.

    ROS arguments (--ros-args …) are accepted too.

    Raises ValueError, FileNotFoundError or RuntimeError for what the user can fix.
    """
    arguments, ros_arguments = split_arguments(sys.argv[1:] if argv is None else argv)
    options = create_parser().parse_args(arguments)
    check(options)
    left_out = LeftOut(_log)
    source = open_source(options.source, options.bag_topic, left_out)
    check_with_source(options, source)
    if source.passed_over:
        _log(f"passed over {source.passed_over}")
    companions: tuple[CompanionTopic, ...] = ()
    if source.kind == "bag":
        found = find_companions(options.source[0], options.bag_topic, options.bag_depth_topic)
        companions = bag_companions.playable(found)
    memory.keep_large_buffers()
    interrupt = Interrupt()
    rclpy.init(args=ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("player", start_parameter_services=False)
    try:
        topics = _create_publishers(node, companions, options)
        _play(Player(node, topics, options, interrupt, left_out), source, companions)
    except KeyboardInterrupt:
        pass  # the usual way to end a live camera or --loop
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 1 if left_out.count else 0


def due_time(last_due: float, step_s: float, now: float) -> float:
    """Return when to send the next frame. A late one delays all that follow, so there are no bursts."""
    return max(last_due + step_s, now)


def step_s(last_ns: int | None, stamp_ns: int, rate_hz: float | None, usual_s: float) -> float:
    """Return the seconds between a frame and its predecessor; last_ns is None for the first.

    rate_hz: None uses the difference of the recorded stamps, or `usual_s` where they stand still, go back (a
    new round of --loop) or have a gap.
    """
    if last_ns is None:
        return 0.0
    if rate_hz is not None:
        return 1.0 / rate_hz
    recorded_s = (stamp_ns - last_ns) / 1e9
    return recorded_s if 0 < recorded_s <= LONGEST_GAP_S else usual_s


def to_message(frame: Frame, encoding: str | None, compressed: bool) -> Image | CompressedImage:
    """Build the frame's message; encoding None keeps the source's channel order."""
    if compressed:
        return convert.to_jpeg(to_bgr(frame), JPEG_QUALITY, frame)
    own = f"{frame.channels}8" if frame.channels != "mono" else "mono8"
    if encoding is None or encoding == own:
        return convert.to_image(frame.pixels, own, frame)
    pixels = to_bgr(frame)
    code = FROM_BGR[encoding]
    return convert.to_image(pixels if code is None else cv2.cvtColor(pixels, code), encoding, frame)


def _play(player: Player, source: Source, companions: Sequence[CompanionTopic]) -> None:
    options, topics = player.options, player.topics
    if options.wait > 0:
        _wait_for_subscriber(topics.image, options.wait, player.interrupt)
    beside = ", ".join(publisher.topic_name for publisher in topics.companions.values())
    with_them = f" with {beside}" if beside else ""
    print(f"playing {one_line(source.name)} on {topics.image.topic_name}{with_them}", flush=True)
    began = time.monotonic()
    with open(options.log or os.devnull, "w", buffering=1, errors="backslashreplace") as log:
        count = 0
        try:
            for _ in _publish_each(player, source, companions, log):
                count += 1
        finally:  # after Ctrl-C too
            print(f"published {count} images in {time.monotonic() - began:.1f} s", flush=True)
    time.sleep(LINGER_S)


def _publish_each(
    player: Player, source: Source, companions: Sequence[CompanionTopic], log: TextIO
) -> Iterator[None]:
    """Send every frame and its companions when it is due; yield after each."""
    options, node = player.options, player.node
    rate_hz = options.rate or (IMAGES_RATE_HZ if source.kind == "images" else None)
    usual_s = 1.0 / (rate_hz or source.fps or 30.0)
    default_id = None if source.kind == "bag" else "camera_optical_frame"
    due, last_ns = 0.0, None
    rounds = _rounds(source, companions, options, player.left_out)
    for index, name, frame, attached in itertools.islice(rounds, options.frames):
        player.interrupt.check()
        # All slow work precedes the wait; only stamping and sending follow it.
        is_restamped = source.kind != "camera" and not options.keep_stamps
        shown = replace(frame, stamp_ns=0) if is_restamped else frame
        image = _image_message(player, name, shown, options.frame_id or default_id)
        if image is None:
            continue
        others = list(_companion_messages(player, name, attached))
        # A camera's frames are sent at once, with the stamps of their arrival.
        if source.kind != "camera":
            due = due_time(due, step_s(last_ns, frame.stamp_ns, rate_hz, usual_s), time.monotonic())
            _sleep_until(due, player.interrupt)
        if is_restamped:
            image.header.stamp = node.get_clock().now().to_msg()
            now_ns = convert.stamp_to_ns(image.header.stamp)
            others = [each for each in others if _restamp(player, name, *each, frame.stamp_ns, now_ns)]
        for publisher, message in others:  # first, so that they are there when the image arrives
            publisher.publish(message)
        player.topics.image.publish(image)
        last_ns = frame.stamp_ns
        print(index, convert.stamp_to_ns(image.header.stamp), one_line(name), sep=",", file=log)
        yield


def _image_message(
    player: Player, name: str, frame: Frame, frame_id: str | None
) -> Image | CompressedImage | None:
    """Build the message; None, logged, for a stamp or size that ROS time or JPEG cannot hold."""
    try:
        bag_companions.check_stamp(frame.stamp_ns)
        image = to_message(frame, player.options.encoding, player.options.compressed)
        if frame_id is not None:
            image.header.frame_id = frame_id
    except Exception as error:
        player.left_out(name, error)
        return None
    return image


def _companion_messages(
    player: Player, name: str, companions: Sequence[Companion]
) -> Iterator[tuple[Publisher, Any]]:
    """Yield the messages that can be read; log the others."""
    for companion in companions:
        publisher = player.topics.companions[companion.topic.name]
        try:
            yield publisher, bag_companions.to_message(companion, publisher, player.options.frame_id)
        except Exception as error:
            player.left_out(f"{companion.topic.name} near {name}", error)


def _restamp(
    player: Player, name: str, publisher: Publisher, message: Any, image_ns: int, now_ns: int
) -> bool:
    """Restamp the message; return False, logged, when ROS time cannot hold the new stamp."""
    try:
        bag_companions.restamp(message, image_ns, now_ns)
    except ValueError as error:
        player.left_out(f"{publisher.topic_name} near {name}", error)
        return False
    return True


def _sleep_until(due: float, interrupt: Interrupt) -> None:
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        interrupt.check()


def _rounds(
    source: Source, companions: Sequence[CompanionTopic], options: argparse.Namespace, left_out: LeftOut
) -> Iterator[Shot]:
    """Yield the source's frames with their companions; with --loop endlessly."""
    while True:
        if companions:
            bag = options.source[0]
            shots = read_with_companions(bag, options.bag_topic, companions, left_out)
        else:
            shots = ((name, frame, []) for name, frame in source.frames)
        index = -1
        for index, (name, frame, attached) in enumerate(shots):
            yield index, name, frame, attached
        if not options.loop or index < 0:  # nothing is readable: another round would be the same
            return
        source = open_source(options.source, options.bag_topic, left_out)


def _create_publishers(
    node: Node, companions: Sequence[CompanionTopic], options: argparse.Namespace
) -> Topics:
    reliability = ReliabilityPolicy.RELIABLE if options.reliable else ReliabilityPolicy.BEST_EFFORT
    qos = QoSProfile(depth=5, reliability=reliability)
    kind, below = (CompressedImage, "/compressed") if options.compressed else (Image, "")
    depth_topic = options.depth_topic or bag_companions.beside(options.topic, "depth/image_raw")
    return Topics(
        node.create_publisher(kind, options.topic + below, qos),
        bag_companions.create_publishers(node, companions, options.topic, depth_topic, qos),
    )


def _wait_for_subscriber(publisher: Publisher, timeout_s: float, interrupt: Interrupt) -> None:
    began, logged = time.monotonic(), False
    while publisher.get_subscription_count() == 0:
        interrupt.check()
        waited_s = time.monotonic() - began
        if waited_s > QUIET_WAIT_S and not logged:
            logged = True
            print(f"waiting for a subscriber of {publisher.topic_name} (up to {timeout_s:g} s)", flush=True)
        if waited_s > timeout_s:
            raise RuntimeError(
                f"no subscriber of {publisher.topic_name} in {timeout_s:g} s; activate the node, remap its "
                "image topic or pass --wait 0"
            )
        time.sleep(0.02)
    time.sleep(MATCH_S)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
