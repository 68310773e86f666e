"""QoS of the node's inputs and outputs; each can be overridden from a parameter file (qos_overrides)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from seg_node.printable import printable


def input_qos() -> QoSProfile:
    """Cameras publish best effort, and a best-effort reader matches every writer.

    The receiver empties this queue at once and the newest frame wins in the node's own slot, where replaced
    ones are counted; with depth 1 a burst would be overwritten in the middleware, uncounted.
    """
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def output_qos() -> QoSProfile:
    """RViz and planners ask for reliable delivery; a reliable writer also serves best-effort readers."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


def create_output(node: Node, message_type: type[Any], topic: str) -> Publisher:
    with naming_overrides(topic):
        return node.create_publisher(
            message_type,
            topic,
            output_qos(),  # a profile of its own: overrides change it in place
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )


def create_latched(node: Node, message_type: type[Any], topic: str) -> Publisher:
    """For what is told once: whoever subscribes later gets the last message too."""
    qos = QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
    )
    with naming_overrides(topic):
        return node.create_publisher(
            message_type, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )


@contextmanager
def naming_overrides(topic: str) -> Iterator[None]:
    """Raise ValueError, which names the topic, for QoS that rclpy or the middleware refuses."""
    try:
        yield
    except (TypeError, RuntimeError, ParameterException) as error:
        text = printable(str(error).partition("\n")[0], 200)
        raise ValueError(f"QoS of {topic} is refused ({text}); check its qos_overrides parameters") from error


def has_subscriber(publisher: Publisher) -> bool:
    return bool(publisher.get_subscription_count())


def camera_info_topic(node: Node, prefix: str) -> str:
    """`camera_info` if it is remapped, else the sibling of the image topic, as in image_transport."""
    own = node.resolve_topic_name(f"{prefix}camera_info")
    if own != node.resolve_topic_name(f"{prefix}camera_info", only_expand=True):
        return own
    return node.resolve_topic_name(f"{prefix}image").rpartition("/")[0] + "/camera_info"
