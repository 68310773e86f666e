# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Warn when a subscribed topic stays silent or falls silent, with the topics that are published."""

import time
from collections.abc import Sequence

from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.subscription import Subscription

from seg_node.ros.common.topics import is_published

NO_DATA_S = 10.0
CHECK_S = 2.0


class NoDataWarning:
    """Warns once per stall when nothing has come on a subscription for 10 s, and logs its end."""

    def __init__(
        self,
        node: Node,
        subscription: Subscription,
        what: str,
        others: Sequence[tuple[str, str]],
        steady: Clock,
    ) -> None:
        """what: named in the log. others: the camera's topics of other transports, and how to choose them."""
        self._node, self._what, self._others = node, what, others
        self._topic, self._type = str(subscription.topic_name), subscription.msg_type.__name__
        self._package = subscription.msg_type.__module__.partition(".")[0]
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
            if f"{self._package}/msg/{self._type}" in kinds and name not in own and is_published(node, name)
        ]
        published = (each for each in self._others if is_published(node, each[0]))
        hint = next((f"; but {other} is published: set {cure}" for other, cure in published), "")
        what = f"more {self._what}" if self._ever else self._what
        node.get_logger().warning(
            f"no {what} has come on {self._topic} for {NO_DATA_S:.0f} s; "
            f"topics on which {self._type} is published: {', '.join(topics) or 'none'}{hint}"
        )
