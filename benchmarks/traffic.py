"""The two neighbours of the measured node, each a process of its own: a camera and a subscriber.

python benchmarks/traffic.py camera HEIGHT WIDTH RATE_HZ     publishes noise on `image` until it is terminated
python benchmarks/traffic.py subscriber [TOPIC …]            then prints what it got from /seg_node as JSON
"""

import array
import json
import os
import signal
import sys
import threading
from collections import defaultdict
from functools import partial
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from seg_node.msg import FrameTiming, InstanceMaskArray, PanopticSegmentation
from seg_node.ros.convert import stamp_to_ns

TYPES = {"instances": InstanceMaskArray, "panoptic": PanopticSegmentation}


def camera(node: Node, height: int, width: int, rate_hz: float) -> None:
    """A driver as in the field: bgr8, sensor-data QoS, stamped just before it is published."""
    publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    message.header.frame_id = "camera_optical_frame"
    message.data = array.array("B", noise.tobytes())

    def publish() -> None:
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)

    node.create_timer(1 / rate_hz, publish)
    spin(node)


def subscriber(node: Node, topics: list[str]) -> dict[str, Any]:
    """`bytes`: sizes of the serialized messages, by topic. `timing`: milliseconds by step, by stamp."""
    sizes: dict[str, list[int]] = defaultdict(list)
    timing: dict[int, dict[str, float]] = {}

    def keep_size(topic: str, serialized: bytes) -> None:
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
    return {"bytes": sizes, "timing": timing}


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
    else:
        print(json.dumps(subscriber(node, arguments)))
    rclpy.shutdown()


if __name__ == "__main__":
    main()
