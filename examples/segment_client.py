# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Segment one picture with a running node: a client of its `~/segment` service.

    python examples/segment_client.py table.jpg --ros-args -r segment:=/seg_node/segment

Prints a line for each object. Exits with 1 and one line when the picture or the response is missing.
"""

import sys
from array import array
from contextlib import suppress

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image

from seg_node.masks import decode_crop
from seg_node.srv import Segment

WAIT_S = 10.0  # for discovery


def read_picture(path: str) -> Image:
    pixels = cv2.imread(path)
    if pixels is None:
        sys.exit(f"segment_client: {path} is not a picture that OpenCV can read")
    height, width = pixels.shape[:2]
    data = array("B", pixels.tobytes())
    return Image(height=height, width=width, encoding="bgr8", step=3 * width, data=data)


def main() -> None:
    arguments = remove_ros_args(sys.argv)[1:]
    if len(arguments) != 1:
        sys.exit("usage: segment_client.py PICTURE [--ros-args -r segment:=/seg_node/segment]")
    request = Segment.Request(image=read_picture(arguments[0]))
    rclpy.init()
    node = rclpy.create_node("segment_client")
    client = node.create_client(Segment, "segment")
    if not client.wait_for_service(WAIT_S):
        name = node.resolve_service_name("segment")
        sys.exit(f"segment_client: no service {name}; start the node, or remap `segment` to its service")
    future = client.call_async(request)
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin_until_future_complete(node, future)
        response = future.result()
        if not response.success:
            sys.exit(f"segment_client: {response.message}")
        for instance in response.instances.instances:  # best first
            crop = decode_crop(instance)
            area, corner = int(crop.pixels.sum()), (crop.x_offset, crop.y_offset)
            print(f"{instance.id} {instance.class_name} {instance.score:.2f}: {area} px, mask at {corner}")


if __name__ == "__main__":
    main()
