# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The neighbours of the measured node, each a process of its own: a camera or a playback, and a subscriber.

traffic.py camera HEIGHT WIDTH RATE_HZ     noise on `image` until it is terminated
traffic.py playback FILE RATE_HZ SECONDS   pictures, then prints their stamps as JSON
traffic.py subscriber [TOPIC …]            when terminated, prints what it got as JSON
"""

import array
import json
import os
import signal
import struct
import sys
import threading
import time
from collections import defaultdict
from functools import partial
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from seg_node.msg import FrameTiming, InstanceMaskArray, PanopticSegmentation
from seg_node.ros.messages.convert import stamp_to_ns

TYPES = {"instances": InstanceMaskArray, "panoptic": PanopticSegmentation}


def camera(node: Node, height: int, width: int, rate_hz: float) -> None:
    """A driver as in the field: bgr8, sensor-data QoS, stamped just before it is published."""
    publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)
    message = image_message(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))

    def publish() -> None:
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)

    node.create_timer(1 / rate_hz, publish)
    spin(node)


def playback(node: Node, file: str, rate_hz: float, seconds: float) -> list[int]:
    """As `camera`, with the pictures of a file, uint8 (N, H, W, 3), in turn; the stamps of what was sent.

    Begins when a node answers, and somebody listens to that. Images that it is too slow for are left out, not
    sent later.
    """
    publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)
    messages = [image_message(picture) for picture in np.load(file)]
    while not (publisher.get_subscription_count() and node.count_subscribers("/seg_node/instances")):
        time.sleep(0.01)
    answers: list[FrameTiming] = []
    subscription = node.create_subscription(FrameTiming, "/seg_node/timing", answers.append, 5)
    while not answers:  # images before all have found each other are lost
        publisher.publish(messages[0])
        rclpy.spin_once(node, timeout_sec=0.5)
    node.destroy_subscription(subscription)
    time.sleep(0.5)  # the others find each other no later
    stamps: list[int] = []
    start = due = time.monotonic()
    while due < start + seconds:
        message = messages[len(stamps) % len(messages)]
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        stamps.append(stamp_to_ns(message.header.stamp))
        due = max(due + 1 / rate_hz, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    return stamps


def image_message(pixels: NDArray[np.uint8]) -> Image:
    """bgr8"""
    height, width, _ = pixels.shape
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    message.header.frame_id = "camera_optical_frame"
    message.data = array.array("B", pixels.tobytes())
    return message


def subscriber(node: Node, topics: list[str]) -> dict[str, Any]:
    """`bytes`: sizes of the serialized messages, by topic. `arrived`: nanoseconds, by topic, by stamp.

    `timing`: milliseconds by step, by stamp.
    """
    sizes: dict[str, list[int]] = defaultdict(list)
    arrived: dict[str, dict[int, int]] = defaultdict(dict)
    timing: dict[int, dict[str, float]] = {}

    def keep_size(topic: str, serialized: bytes) -> None:
        now = node.get_clock().now().nanoseconds
        seconds, nanoseconds = struct.unpack_from("<iI", serialized, 4)  # behind CDR's own header
        arrived[topic][seconds * 10**9 + nanoseconds] = now
        sizes[topic].append(len(serialized))

    def keep_timing(message: FrameTiming) -> None:
        timing[stamp_to_ns(message.header.stamp)] = {
            field.removesuffix("_ms"): getattr(message, field)
            for field in message.get_fields_and_field_types()
            if field.endswith("_ms")
        }

    for topic in topics:
        # raw: the bytes as they came, so that the machine does not also work for this process
        node.create_subscription(TYPES[topic], f"/seg_node/{topic}", partial(keep_size, topic), 5, raw=True)
    node.create_subscription(FrameTiming, "/seg_node/timing", keep_timing, 5)
    spin(node)
    return {"bytes": sizes, "arrived": arrived, "timing": timing}


def spin(node: Node) -> None:
    """Until this process is terminated."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.is_set():
        rclpy.spin_once(node, timeout_sec=0.1)


def main() -> None:
    role, *arguments = sys.argv[1:]
    if role == "subscriber":
        # before any thread starts; else the scheduler lets it interrupt the node while that publishes
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(role)
    if role == "camera":
        height, width, rate_hz = arguments
        camera(node, int(height), int(width), float(rate_hz))
    elif role == "playback":
        file, rate_hz, seconds = arguments
        print(json.dumps(playback(node, file, float(rate_hz), float(seconds))))
    else:
        print(json.dumps(subscriber(node, arguments)))
    rclpy.shutdown()


if __name__ == "__main__":
    main()
