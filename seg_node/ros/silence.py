"""A wrong topic name gives no other sign than silence: it is told, with the topics that are there."""

from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.subscription import Subscription

SILENCE_S = 10.0


class Silence:
    """Warns once when nothing has come on a subscription for 10 s."""

    def __init__(
        self, node: Node, subscription: Subscription, what: str, other: tuple[str, str] | None, steady: Clock
    ) -> None:
        """what: for people. other: the same camera's topic of another transport, and how to take that."""
        self._node, self._subscription, self._what, self._other = node, subscription, what, other
        self._timer = node.create_timer(SILENCE_S, self._warn, clock=steady)

    def end(self) -> None:
        self._timer.cancel()

    def close(self) -> None:
        self._node.destroy_timer(self._timer)

    def _warn(self) -> None:
        self._timer.cancel()
        node, kind = self._node, self._subscription.msg_type.__name__
        own = {publisher.topic_name for publisher in node.publishers}
        topics = [
            name
            for name, kinds in node.get_topic_names_and_types()
            if f"sensor_msgs/msg/{kind}" in kinds and name not in own and node.count_publishers(name)
        ]
        hint = ""
        if self._other and node.count_publishers(self._other[0]):
            hint = f"; but {self._other[0]} is published: set {self._other[1]}"
        node.get_logger().warning(
            f"no {self._what} has come on {self._subscription.topic_name} for {SILENCE_S:.0f} s; "
            f"topics on which {kind} is published: {', '.join(topics) or 'none'}{hint}"
        )
