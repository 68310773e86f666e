"""QoS of the node's inputs and outputs; each can be overridden from a parameter file (qos_overrides)."""

from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

# Cameras publish best effort; a best-effort reader with depth 1 matches every writer and holds no old frame.
INPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# RViz and planners ask for reliable delivery; a reliable writer also serves best-effort readers.
OUTPUT_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


def create_output(node: Node, message_type: type[Any], topic: str) -> Publisher:
    return node.create_publisher(
        message_type,
        topic,
        OUTPUT_QOS,
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )


def has_subscriber(publisher: Publisher) -> bool:
    return bool(publisher.get_subscription_count())
