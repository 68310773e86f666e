# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""QoS of the node's inputs and outputs; each can be overridden from a parameter file (qos_overrides)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from seg_node.untrusted.printable import printable

VIDEO_DEPTH = 60  # packets, each of which the next needs: 2 s at 30 Hz
LONGEST_TOPIC = 247  # the middleware allows 255 characters and adds up to 8 in front


def input_qos(depth: int = 5) -> QoSProfile:
    """Return the QoS of images: best effort, which matches every writer.

    The receiver empties this queue at once and the newest frame wins in the node's own slot, where replaced
    ones are counted; with depth 1 a burst would be overwritten in the middleware, uncounted.
    """
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


def output_qos() -> QoSProfile:
    """Return the QoS of outputs: reliable, as RViz and planners expect; it serves best-effort readers too."""
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


def create_output(node: Node, message_type: type[Any], topic: str) -> Publisher:
    with naming_topic(node, topic):
        return node.create_publisher(
            message_type,
            topic,
            output_qos(),  # a profile of its own: overrides change it in place
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )


def create_latched(node: Node, message_type: type[Any], topic: str) -> Publisher:
    """Create a latched publisher: later subscribers get the last message too."""
    qos = QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
    )
    with naming_topic(node, topic):
        return node.create_publisher(
            message_type, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )


@contextmanager
def naming_topic(node: Node, topic: str) -> Iterator[None]:
    """Raise ValueError, naming the topic, when the middleware refuses its name or QoS."""
    whole_name(node, topic)
    try:
        yield
    except (TypeError, RuntimeError, ParameterException) as error:
        text = printable(str(error).partition("\n")[0], 200)
        raise ValueError(f"QoS of {topic} is refused ({text}); check its qos_overrides parameters") from error


def whole_name(node: Node, topic: str, *, remapped: bool = True) -> str:
    """Return the topic's full name. Raises ValueError when it is longer than the middleware allows."""
    try:
        return str(node.resolve_topic_name(topic, only_expand=not remapped))
    except RuntimeError:
        raise ValueError(
            f"topic {printable(topic)} has a name of more than {LONGEST_TOPIC} characters: shorten the "
            "namespace, the node's name or what the topic is remapped to"
        ) from None


def has_subscriber(publisher: Publisher) -> bool:
    return bool(publisher.get_subscription_count())


def is_published(node: Node, topic: str) -> bool:
    """Return whether the topic has a publisher; False for invalid names, such as too long ones."""
    try:
        return bool(node.count_publishers(topic))
    except (ValueError, NameValidationException, RuntimeError):
        return False


def camera_info_topic(node: Node, prefix: str) -> str:
    """Return `camera_info` if it is remapped, else the sibling of the image topic, as in image_transport."""
    own = whole_name(node, f"{prefix}camera_info")
    if own != whole_name(node, f"{prefix}camera_info", remapped=False):
        return own
    return whole_name(node, f"{prefix}image").rpartition("/")[0] + "/camera_info"
