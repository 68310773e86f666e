# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A camera as a process of its own: publishes one picture again and again with known, consecutive stamps.

    python camera_process.py TOPIC IMAGE.npy RATE_HZ COUNT FRAME_ID

Frame i carries the stamp (1000 + i // 1000) s, (i % 1000) ms when RATE_HZ is negative (known in advance),
and the time of publishing otherwise. Prints one line "i sec nanosec" per published frame.
"""

import array
import sys
import time

import numpy as np
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image


def main() -> None:
    topic, path, rate, count, frame_id = sys.argv[1:]
    pixels = np.load(path)
    rclpy.init()
    node = rclpy.create_node("camera")
    publisher = node.create_publisher(Image, topic, qos_profile_sensor_data)
    message = Image(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding="bgr8",
        step=pixels.strides[0],
        data=array.array("B", pixels.tobytes()),
    )
    message.header.frame_id = frame_id
    while publisher.get_subscription_count() == 0:
        time.sleep(0.02)
    next_time = time.monotonic()
    for i in range(int(count)):
        if float(rate) < 0:
            message.header.stamp.sec, message.header.stamp.nanosec = 1000 + i // 1000, i % 1000 * 1_000_000
        else:
            message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        print(i, message.header.stamp.sec, message.header.stamp.nanosec, flush=True)
        next_time += 1 / abs(float(rate))
        time.sleep(max(0.0, next_time - time.monotonic()))
    time.sleep(1.0)
    rclpy.shutdown()


if __name__ == "__main__":
    main()
