"""`seg_node play`: images, a video, a ROS bag or a camera as a camera's image topic, in step with the clock.

Frames are published best effort, as cameras do, and stamped when they are sent. The process only publishes:
its node does not spin.
"""

import argparse
import glob
import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import cv2
import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CompressedImage, Image

from seg_node.draw import to_bgr
from seg_node.ros import convert, memory
from seg_node.ros.interrupt import Interrupt
from seg_node.sources import Source, open_source
from seg_node.types import Frame

DESCRIPTION = """Publishes images, a video, a ROS bag or a camera as a camera's image topic, in step with the
clock: best effort, as cameras do, and stamped when sent. Waits for a subscriber first (--wait)."""
IMAGES_RATE_HZ = 2.0
JPEG_QUALITY = 90
# A longer hole between two recorded stamps is not waited out: it is a pause or a fault of the recording.
LONGEST_GAP_S = 10.0
# Best effort has no acknowledgement: the last images need the process a little longer.
LINGER_S = 0.5
# So long it waits for a subscriber without a word.
QUIET_WAIT_S = 1.0
# A subscriber that we have found needs a moment more to find us.
MATCH_S = 0.2

FROM_BGR = {
    "bgr8": None,
    "rgb8": cv2.COLOR_BGR2RGB,
    "bgra8": cv2.COLOR_BGR2BGRA,
    "rgba8": cv2.COLOR_BGR2RGBA,
    "mono8": cv2.COLOR_BGR2GRAY,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Publish the source; returns the exit status. ROS arguments (--ros-args …) are taken as well.

    Raises ValueError, FileNotFoundError or RuntimeError for what the user can mend.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(remove_ros_args(["play", *arguments])[1:])
    source = open_source(options.source, options.bag_topic, _tell_left_out)
    _check(options, source)
    if source.kind == "camera":
        _check_device(options.source[0])
    memory.keep_large_buffers()
    interrupt = Interrupt()
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("player", start_parameter_services=False)
    try:
        _play(node, source, options, interrupt)
    except KeyboardInterrupt:
        pass  # the usual way to end a live camera or --loop
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def due_time(last_due: float, step_s: float, now: float) -> float:
    """When to send the next frame. A late one moves all that follow: there are no bursts."""
    return max(last_due + step_s, now)


def step_s(last_ns: int | None, stamp_ns: int, rate_hz: float | None, usual_s: float) -> float:
    """Seconds between a frame and its predecessor; last_ns is None for the first.

    rate_hz: None takes the distance of the recorded stamps; where they stand still, go back (a new round of
    --loop) or leave a hole, `usual_s`.
    """
    if last_ns is None:
        return 0.0
    if rate_hz is not None:
        return 1.0 / rate_hz
    recorded_s = (stamp_ns - last_ns) / 1e9
    return recorded_s if 0 < recorded_s <= LONGEST_GAP_S else usual_s


def to_message(frame: Frame, encoding: str | None, compressed: bool) -> Image | CompressedImage:
    """The frame as a message; encoding None keeps the channel order that the source has."""
    if compressed:
        return convert.to_jpeg(to_bgr(frame), JPEG_QUALITY, frame)
    own = f"{frame.channels}8" if frame.channels != "mono" else "mono8"
    if encoding is None or encoding == own:
        return convert.to_image(frame.pixels, own, frame)
    pixels = to_bgr(frame)
    code = FROM_BGR[encoding]
    return convert.to_image(pixels if code is None else cv2.cvtColor(pixels, code), encoding, frame)


def _play(node: Node, source: Source, options: argparse.Namespace, interrupt: Interrupt) -> None:
    publisher = _create_publisher(node, options)
    if options.wait > 0:
        _wait_for_subscriber(publisher, options.wait, interrupt)
    print(f"playing {source.name} on {publisher.topic_name}", flush=True)
    began = time.monotonic()
    with open(options.log or os.devnull, "w", buffering=1) as log:
        count = 0
        try:
            for _ in _publish_each(node, publisher, source, options, log, interrupt):
                count += 1
        finally:  # after Ctrl-C too
            print(f"published {count} images in {time.monotonic() - began:.1f} s", flush=True)
    time.sleep(LINGER_S)


def _publish_each(
    node: Node,
    publisher: Publisher,
    source: Source,
    options: argparse.Namespace,
    log: TextIO,
    interrupt: Interrupt,
) -> Iterator[None]:
    """Send every frame when it is due; comes back after each."""
    rate_hz = options.rate or (IMAGES_RATE_HZ if source.kind == "images" else None)
    usual_s = 1.0 / (rate_hz or source.fps or 30.0)
    frame_id = options.frame_id or (None if source.kind == "bag" else "camera_optical_frame")
    due, last_ns = 0.0, None
    for index, name, frame in itertools.islice(_rounds(source, options), options.frames):
        interrupt.check()
        # All slow work is done before the wait: what follows it is stamping and sending.
        message = to_message(frame, options.encoding, options.compressed)
        if frame_id is not None:
            message.header.frame_id = frame_id
        # A camera's frames are sent as they come, and have the stamps of their arrival.
        if source.kind != "camera":
            due = due_time(due, step_s(last_ns, frame.stamp_ns, rate_hz, usual_s), time.monotonic())
            _sleep_until(due, interrupt)
        if source.kind != "camera" and not options.keep_stamps:
            message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        last_ns = frame.stamp_ns
        print(index, convert.stamp_to_ns(message.header.stamp), name, sep=",", file=log)
        yield


def _sleep_until(due: float, interrupt: Interrupt) -> None:
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        interrupt.check()


def _rounds(source: Source, options: argparse.Namespace) -> Iterator[tuple[int, str, Frame]]:
    """Index in the source, name and frame; with --loop again and again."""
    frames = source.frames
    while True:
        for index, (name, frame) in enumerate(frames):
            yield index, name, frame
        if not options.loop:
            return
        frames = open_source(options.source, options.bag_topic, _tell_left_out).frames


def _create_publisher(node: Node, options: argparse.Namespace) -> Publisher:
    reliability = ReliabilityPolicy.RELIABLE if options.reliable else ReliabilityPolicy.BEST_EFFORT
    kind, topic = (CompressedImage, "/compressed") if options.compressed else (Image, "")
    return node.create_publisher(kind, options.topic + topic, QoSProfile(depth=5, reliability=reliability))


def _wait_for_subscriber(publisher: Publisher, timeout_s: float, interrupt: Interrupt) -> None:
    began, told = time.monotonic(), False
    while publisher.get_subscription_count() == 0:
        interrupt.check()
        waited_s = time.monotonic() - began
        if waited_s > QUIET_WAIT_S and not told:
            told = True
            print(f"waiting for a subscriber of {publisher.topic_name} (up to {timeout_s:g} s)", flush=True)
        if waited_s > timeout_s:
            raise RuntimeError(
                f"nobody subscribed to {publisher.topic_name} in {timeout_s:g} s; is the node active, and "
                "this its image topic? (--wait 0 does not wait)"
            )
        time.sleep(0.02)
    time.sleep(MATCH_S)


def _tell_left_out(name: str, error: Exception) -> None:
    print(f"left out {name}: {error}", file=sys.stderr, flush=True)


def _check(options: argparse.Namespace, source: Source) -> None:
    if options.rate is not None and not 0 < options.rate <= 1000:
        raise ValueError(f"--rate is {options.rate:g}: must be over 0, up to 1000 images a second")
    if options.rate is not None and source.kind == "camera":
        raise ValueError(f"--rate: {source.name} is a camera and has its own rate")
    if options.keep_stamps and source.kind != "bag":
        raise ValueError(f"--keep-stamps: only bags have stamps to keep, and {source.name} is none")


def _check_device(camera: str) -> None:
    """camera: its path or number. Opening one that is not there would only be told at the first image."""
    if not sys.platform.startswith("linux"):
        return
    device = Path(f"/dev/video{camera}" if camera.isdecimal() else camera)
    if not device.exists():
        present = ", ".join(sorted(glob.glob("/dev/video*"))) or "none"
        raise FileNotFoundError(f"{device}: no such camera; there are: {present}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="seg_node play", description=DESCRIPTION)
    parser.add_argument(
        "source",
        nargs="+",
        metavar="SOURCE",
        help="images, folders or globs; or one video, bag (sqlite3, mcap) or camera (/dev/video0)",
    )
    parser.add_argument(
        "--topic", default="/camera/image_raw", help="where to publish (default: %(default)s)"
    )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="HZ",
        help=f"images a second (default: as recorded; {IMAGES_RATE_HZ:g} for image files)",
    )
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until interrupted")
    parser.add_argument("--frames", type=int, metavar="N", help="stop after N images")
    parser.add_argument(
        "--frame-id", metavar="NAME", help="default: camera_optical_frame; for bags the recorded one"
    )
    parser.add_argument(
        "--encoding", choices=list(FROM_BGR), help="default: the source's own, without a copy"
    )
    parser.add_argument("--compressed", action="store_true", help="publish JPEG on TOPIC/compressed")
    parser.add_argument("--reliable", action="store_true", help="publish reliable instead of best effort")
    parser.add_argument("--bag-topic", metavar="NAME", help="image topic of the bag (default: its only one)")
    parser.add_argument("--keep-stamps", action="store_true", help="send a bag's own stamps instead of now")
    parser.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds to wait for a subscriber before the first image (default: 60; 0: do not wait)",
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="write a line `index,stamp_ns,name` for every image sent"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
