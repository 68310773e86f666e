# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""In the place of tf2_ros, which is in no wheel: what the node uses of it, on the plain buffer."""

from typing import Any

from plain_tf_buffer import NoTransform, PlainBuffer
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

TransformException = NoTransform


class Buffer(PlainBuffer):
    def __init__(self, cache_time: Duration | None = None) -> None:
        super().__init__()


class TransformListener:
    def __init__(self, buffer: Any, node: Node) -> None:
        self._node = node
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            node.create_subscription(TFMessage, topic, callback, qos)
            for topic, callback, qos in (
                ("/tf", lambda message: _pass_on(message, buffer.set_transform), 100),
                ("/tf_static", lambda message: _pass_on(message, buffer.set_transform_static), latched),
            )
        ]

    def unregister(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


def _pass_on(message: TFMessage, take: Any) -> None:
    for transform in message.transforms:
        take(transform, "plain")
