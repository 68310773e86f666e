# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers and stamps of the messages that a bag holds beside its images: CameraInfo, depth and tf."""

from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_node.ros.common.arguments import check_name
from seg_node.ros.messages.convert import stamp_to_ns
from seg_node.sources.bags.companions import Companion, CompanionTopic

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # not among the ROS 2 wheels on PyPI
    TFMessage = None

TF_DEPTH = 100  # as tf2_ros's broadcaster
END_OF_TIME_NS = 2**31 * 10**9  # seconds are int32


def playable(topics: Sequence[CompanionTopic]) -> tuple[CompanionTopic, ...]:
    """Return the topics whose messages can be published here; print the others."""
    left_out = [topic.name for topic in topics if topic.role in ("tf", "tf_static") and TFMessage is None]
    if left_out:
        print(f"left out {', '.join(left_out)}: tf2_msgs is not installed", flush=True)
    return tuple(topic for topic in topics if topic.name not in left_out)


def create_publishers(
    node: Node, topics: Sequence[CompanionTopic], image_topic: str, depth_topic: str, qos: QoSProfile
) -> dict[str, Publisher]:
    """Create the publishers, keyed by the topics' names in the bag.

    CameraInfo goes to `camera_info` beside the image topic, depth to depth_topic (compressed depth to its
    transport's topic below it), both with the images' QoS; tf keeps its topics and QoS.
    Raises ValueError when a name in the bag leads to an invalid topic name.
    """
    publishers = {}
    for topic in topics:
        if topic.role == "camera_info":
            publishers[topic.name] = node.create_publisher(
                CameraInfo, beside(image_topic, "camera_info"), qos
            )
        elif topic.role == "depth":
            is_raw = topic.type == "sensor_msgs/msg/Image"
            below = "" if is_raw else "/" + topic.name.rpartition("/")[2]
            kind = Image if is_raw else CompressedImage
            check_name(f"{topic.name} of the bag, played as", depth_topic + below)
            publishers[topic.name] = node.create_publisher(kind, depth_topic + below, qos)
        else:
            is_static = topic.role == "tf_static"
            durability = DurabilityPolicy.TRANSIENT_LOCAL if is_static else DurabilityPolicy.VOLATILE
            profile = QoSProfile(depth=TF_DEPTH, durability=durability)
            publishers[topic.name] = node.create_publisher(TFMessage, f"/{topic.role}", profile)
    return publishers


def beside(topic: str, name: str) -> str:
    """Name a topic in the same namespace: /camera/image_raw, camera_info → /camera/camera_info."""
    return f"{topic.rpartition('/')[0]}/{name}" if "/" in topic else name


def to_message(companion: Companion, publisher: Publisher, frame_id: str | None) -> Any:
    """Deserialize the message; a frame_id replaces the recorded one, except in tf."""
    message = deserialize_message(companion.cdr, publisher.msg_type)
    if frame_id is not None and hasattr(message, "header"):
        message.header.frame_id = frame_id
    return message


def restamp(message: Any, image_ns: int, now_ns: int) -> None:
    """Shift the message's stamps as its image's from image_ns to now_ns; 0 (none) becomes now_ns.

    Raises ValueError as `check_stamp` does.
    """
    headers = [message.header] if hasattr(message, "header") else [each.header for each in message.transforms]
    for header in headers:
        recorded_ns = stamp_to_ns(header.stamp)
        offset_ns = recorded_ns - image_ns if recorded_ns and image_ns else 0
        check_stamp(now_ns + offset_ns)
        header.stamp.sec, header.stamp.nanosec = divmod(now_ns + offset_ns, 10**9)


def check_stamp(stamp_ns: int) -> None:
    """Raise ValueError for a time that builtin_interfaces/Time cannot hold."""
    if not 0 <= stamp_ns < END_OF_TIME_NS:
        raise ValueError(f"its stamp is {stamp_ns / 1e9:.9g} s, beyond the range of ROS time")
