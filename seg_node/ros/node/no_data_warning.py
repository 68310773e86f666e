# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Warn when a subscribed topic stays silent or falls silent, with the topics that are published."""

import time

from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.subscription import Subscription

from seg_node.ros.common.topics import is_published

NO_DATA_S = 10.0
CHECK_S = 2.0


class NoDataWarning:
    """Warns once per stall when nothing has come on a subscription for 10 s, and logs its end."""

    def __init__(
        self, node: Node, subscription: Subscription, what: str, other: tuple[str, str] | None, steady: Clock
    ) -> None:
        """what: named in the log. other: the camera's topic of another transport, and how to choose it."""
        self._node, self._what, self._other = node, what, other
        self._topic, self._type = str(subscription.topic_name), subscription.msg_type.__name__
        self._last = time.monotonic()
        self._ever, self._warned = False, False
        self._timer = node.create_timer(CHECK_S, self._check, clock=steady)

    def heard(self) -> None:
        """Note a message; called in the receiver's thread."""
        now = time.monotonic()
        if self._warned:
            self._warned = False
            seconds = now - self._last
            text = f"{self._what} comes on {self._topic}, after {seconds:.0f} s of silence"
            self._node.get_logger().info(text)
        self._ever, self._last = True, now

    def close(self) -> None:
        self._node.destroy_timer(self._timer)

    def _check(self) -> None:
        if self._warned or time.monotonic() - self._last < NO_DATA_S:
            return
        self._warned = True
        node = self._node
        own = {publisher.topic_name for publisher in node.publishers}
        topics = [
            name
            for name, kinds in node.get_topic_names_and_types()
            if f"sensor_msgs/msg/{self._type}" in kinds and name not in own and is_published(node, name)
        ]
        hint = ""
        if self._other and is_published(node, self._other[0]):
            hint = f"; but {self._other[0]} is published: set {self._other[1]}"
        what = f"more {self._what}" if self._ever else self._what
        node.get_logger().warning(
            f"no {what} has come on {self._topic} for {NO_DATA_S:.0f} s; "
            f"topics on which {self._type} is published: {', '.join(topics) or 'none'}{hint}"
        )
