# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What does a node cost that nobody watches? The CPU time of its process, beside a camera and alone.

    scripts/run python benchmarks/idle.py [--size 1280x720] [--rate 30] [--seconds 60]

prints a table: per cent of one core (user and system, from /proc), so that a busy machine changes little.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from common.node_process import running_node
from rclpy.node import Node

TRAFFIC = Path(__file__).with_name("common") / "traffic.py"
WAIT_S = 60.0
CASES: tuple[tuple[str, dict[str, Any], bool, bool], ...] = (
    # title, parameters, whether there is a camera, whether the node rests
    ("no camera", {}, False, False),
    ("a camera, `rest_after: 0`", {"rest_after": 0.0}, True, False),
    ("a camera, `rest_after: 30` (default), at rest", {}, True, True),
)


@contextmanager
def camera(width: int, height: int, rate_hz: float) -> Iterator[None]:
    command = [sys.executable, str(TRAFFIC), "camera", str(height), str(width), str(rate_hz)]
    running = subprocess.Popen(command)
    try:
        yield
    finally:
        running.terminate()
        running.wait(30)


def wait_for_subscribers(node: Node, count: int) -> None:
    end = time.monotonic() + WAIT_S
    while node.count_publishers("image") == 0 or node.count_subscribers("image") != count:
        if time.monotonic() > end:
            raise RuntimeError(f"`image` has {node.count_subscribers('image')} subscribers, not {count}")
        time.sleep(0.1)


def percent_of_a_core(
    parameters: dict[str, Any], seconds: float, node: Node, subscribers: int | None
) -> float:
    """subscribers: that `image` has when the measurement may begin; None: there is no camera."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_node({"device": "cpu", **parameters}, Path(folder)) as found,
    ):
        if subscribers is not None:
            wait_for_subscribers(node, subscribers)
        time.sleep(2.0)  # what starting has left to do
        before, began = found.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return 100 * (found.cpu_s() - before) / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="1280x720", help="of the camera's images (1280x720)")
    parser.add_argument("--rate", type=float, default=30.0, help="of the camera, images per second (30)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement (60)")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))  # alone, whatever else runs here
    rclpy.init()
    node = rclpy.create_node("looks")
    print("| nobody watches | per cent of a core |", "|---|---:|", sep="\n")
    for title, parameters, has_camera, rests in CASES:
        if has_camera:
            with camera(width, height, arguments.rate):
                spent = percent_of_a_core(parameters, arguments.seconds, node, 0 if rests else 1)
        else:
            spent = percent_of_a_core(parameters, arguments.seconds, node, None)
        print(f"| {title} | {spent:.1f} |", flush=True)
    rclpy.shutdown()


if __name__ == "__main__":
    main()
