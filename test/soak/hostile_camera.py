# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A camera that sends good images among hostile ones: python -m soak.hostile_camera KIND --seconds S --seed N

KIND: raw, compressed or depth (raw images with depth and calibration). Half of the images are good; three of
ten are images of `scripts/fuzz` (wrong sizes, encodings, stamps, files), and two of ten are bytes that are
no message. Prints {"good": n, "hostile": n} at the end.
"""

import argparse
import array
import itertools
import json
import sys
import time
from random import Random
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from fuzz import mutate
from fuzz.targets import compressed, depth, image
from node_harness import FRAME_ID, picture, wait_until
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

KINDS = ("raw", "compressed", "depth")
HEIGHT, WIDTH = 120, 160
QUEUE_DEPTH = 5
ENCAPSULATION = 4  # bytes at the head of every message
_INT32 = 1 << 31
_FRAME_IDS = ("", FRAME_ID, "x" * 10_000, "a\nb", "../..", "ä")


class HostileCamera:
    """One camera's publishers."""

    def __init__(self, node: Node, kind: str, random: Random) -> None:
        self._node, self._kind, self._random = node, kind, random
        packed = kind == "compressed"
        self._image = self._publisher(
            *((CompressedImage, "/image/compressed") if packed else (Image, "/image"))
        )
        if kind == "depth":
            self._depth = self._publisher(Image, "/depth")
            self._info = self._publisher(CameraInfo, "/camera_info")
        self._pixels = [picture(HEIGHT, WIDTH, seed) for seed in range(4)]

    def _publisher(self, message_type: Any, topic: str) -> Publisher:
        return self._node.create_publisher(message_type, topic, QUEUE_DEPTH)  # reliable: suits everybody

    def has_subscriber(self) -> bool:
        return bool(self._image.get_subscription_count())

    def send_good(self) -> None:
        stamp = self._node.get_clock().now().to_msg()
        header = Header(stamp=stamp, frame_id=FRAME_ID)
        pixels = self._random.choice(self._pixels)
        if self._kind == "compressed":
            data = array.array("B", cv2.imencode(".jpg", pixels)[1].tobytes())
            self._image.publish(CompressedImage(header=header, format="jpeg", data=data))
            return
        if self._kind == "depth":
            self._info.publish(_calibration(header))
            distances = np.full((HEIGHT, WIDTH), 1.0, np.float32)
            self._depth.publish(_image(header, distances, "32FC1"))
        self._image.publish(_image(header, pixels, "bgr8"))

    def send_hostile(self) -> None:
        """A message with wrong content, or bytes in the place of one."""
        publisher, message = self._hostile_message()
        if self._random.random() < 0.6:
            publisher.publish(message)
            return
        cdr = mutate.mutate_bytes(serialize_message(message), self._random)
        publisher.publish(cdr if len(cdr) >= ENCAPSULATION else bytes(ENCAPSULATION))

    def _hostile_message(self) -> tuple[Publisher, Any]:
        random = self._random
        if self._kind == "compressed":
            fields = compressed.make(random)
            message = CompressedImage(format=fields["format"], data=array.array("B", fields["data"]))
            message.header = self._odd_header()
            return self._image, message
        place = random.choice(("image", "depth", "info")) if self._kind == "depth" else "image"
        if place == "info":
            return self._info, self._odd_calibration()
        fields = image.make(random) if place == "image" else _odd_depth(random)
        message = Image(
            height=fields["height"],
            width=fields["width"],
            encoding=fields["encoding"],
            step=fields["step"],
            is_bigendian=fields["is_bigendian"],
            data=array.array("B", fields["data"]),
        )
        message.header = self._odd_header()
        return (self._image if place == "image" else self._depth), message

    def _odd_header(self) -> Header:
        random = self._random
        stamp = self._node.get_clock().now().to_msg()
        if random.random() < 0.5:
            seconds = random.choice((0, -1, stamp.sec, stamp.sec + 10_000, _INT32 - 1, -_INT32))
            stamp = Time(sec=seconds, nanosec=random.choice((0, 10**9, (1 << 32) - 1)))
        return Header(stamp=stamp, frame_id=random.choice(_FRAME_IDS))

    def _odd_calibration(self) -> CameraInfo:
        message = _calibration(self._odd_header())
        for numbers in (message.k, message.p):
            numbers[self._random.randrange(len(numbers))] = mutate.real(self._random)
        if self._random.random() < 0.3:
            message.height, message.binning_x = mutate.integer(self._random), mutate.integer(self._random)
        return message


def _odd_depth(random: Random) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    while "encoding" not in fields:  # half of them are compressed
        fields = depth.make(random)
    return fields


def _calibration(header: Header) -> CameraInfo:
    focal, x, y = 150.0, WIDTH / 2, HEIGHT / 2
    k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
    p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return CameraInfo(header=header, height=HEIGHT, width=WIDTH, k=k, p=p)


def _image(header: Header, values: Any, encoding: str) -> Image:
    return Image(
        header=header,
        height=values.shape[0],
        width=values.shape[1],
        encoding=encoding,
        step=values.strides[0],
        data=array.array("B", values.tobytes()),
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=30.0)
    arguments = parser.parse_args()
    random = Random(f"{arguments.kind} {arguments.seed}")
    rclpy.init(args=[])
    node = rclpy.create_node(f"hostile_camera_{arguments.kind}")
    camera = HostileCamera(node, arguments.kind, random)
    wait_until(camera.has_subscriber, 60, "a subscriber")
    counts = {"good": 0, "hostile": 0}
    end, next_time = time.monotonic() + arguments.seconds, time.monotonic()
    for _ in itertools.takewhile(lambda _: time.monotonic() < end, itertools.count()):
        good = random.random() < 0.5
        (camera.send_good if good else camera.send_hostile)()
        counts["good" if good else "hostile"] += 1
        next_time = max(next_time + 1 / arguments.rate, time.monotonic() - 1)
        time.sleep(max(0.0, next_time - time.monotonic()))
    print(json.dumps(counts), flush=True)
    node.destroy_node()
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
