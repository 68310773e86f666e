# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The command line of `seg_node play`."""

import argparse
import glob
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seg_node.arguments import Parser, picture_input
from seg_node.ros.common.arguments import check_name
from seg_node.untrusted.printable import printable

if TYPE_CHECKING:
    from seg_node.sources.source import Source

DESCRIPTION = """Publishes images, a video, a ROS bag or a camera on an image topic in real time: best effort,
as cameras do, and stamped when sent. Waits for a subscriber first (--wait). From a ROS 2 bag also publishes
CameraInfo (camera_info beside TOPIC), depth and, where tf2_msgs is installed, tf; all stamps are shifted
with those of the images, so that pairs stay pairs."""
IMAGES_RATE_HZ = 2.0
ENCODINGS = ("bgr8", "rgb8", "bgra8", "rgba8", "mono8")


def create_parser() -> argparse.ArgumentParser:
    """Create the parser; --depth-topic is None unless given, since its default depends on --topic."""
    parser = Parser(prog="seg_node play", description=DESCRIPTION)
    parser.add_argument(
        "source",
        nargs="+",
        type=picture_input,
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
    parser.add_argument("--loop", action="store_true", help="start again at the end, until interrupted")
    parser.add_argument("--frames", type=int, metavar="N", help="stop after N images")
    parser.add_argument(
        "--frame-id", metavar="NAME", help="default: camera_optical_frame; for bags the recorded one"
    )
    parser.add_argument("--encoding", choices=ENCODINGS, help="default: the source's own, without a copy")
    parser.add_argument("--compressed", action="store_true", help="publish JPEG on TOPIC/compressed")
    parser.add_argument("--reliable", action="store_true", help="publish reliable instead of best effort")
    parser.add_argument("--bag-topic", metavar="NAME", help="image topic of the bag (default: its only one)")
    parser.add_argument(
        "--depth-topic",
        metavar="NAME",
        help="where to publish a bag's depth (default: depth/image_raw beside TOPIC); compressed depth goes "
        "to NAME/compressedDepth",
    )
    parser.add_argument(
        "--bag-depth-topic",
        metavar="NAME",
        help="depth topic of the bag (default: the one with the images' frame_id)",
    )
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


def check(options: argparse.Namespace) -> None:
    """Raise ValueError for values that are invalid for any source."""
    check_name("--topic", options.topic + ("/compressed" if options.compressed else ""))
    if options.depth_topic is not None:
        check_name("--depth-topic", options.depth_topic)
    if not (options.frame_id or "").isprintable():
        raise ValueError(f"--frame-id '{printable(options.frame_id)}' cannot be the name of a frame")
    if options.rate is not None and not 0 < options.rate <= 1000:
        raise ValueError(f"--rate is {options.rate:g}: must be over 0, up to 1000 images a second")
    if options.frames is not None and options.frames < 1:
        raise ValueError(f"--frames is {options.frames}: must be 1 or more images")
    if not 0 <= options.wait < math.inf:
        raise ValueError(f"--wait is {options.wait:g}: must be 0 or more seconds")


def check_with_source(options: argparse.Namespace, source: "Source") -> None:
    """Raise ValueError for options that the source cannot use, FileNotFoundError for a missing camera."""
    if options.rate is not None and source.kind == "camera":
        raise ValueError(f"--rate: {source.name} is a camera and has its own rate")
    if options.keep_stamps and source.kind != "bag":
        raise ValueError(f"--keep-stamps: only bags have stamps to keep, and {source.name} is not a bag")
    if options.bag_depth_topic and source.kind != "bag":
        raise ValueError(f"--bag-depth-topic: only bags have topics, and {source.name} is not a bag")
    if source.kind == "camera":
        _check_device(options.source[0])


def _check_device(camera: str) -> None:
    """Raise FileNotFoundError for a missing camera: opening it would fail only at the first image.

    camera: its path or number.
    """
    if not sys.platform.startswith("linux"):
        return
    device = Path(f"/dev/video{camera}" if camera.isdecimal() else camera)
    if not device.exists():
        present = ", ".join(sorted(glob.glob("/dev/video*"))) or "none"
        raise FileNotFoundError(f"{device}: no such camera; available: {present}")
