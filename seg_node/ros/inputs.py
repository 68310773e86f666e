"""What one camera sends: colour images, and with depth its depth images and calibration."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from rclpy.clock import Clock
from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_node.ros import convert
from seg_node.ros.diagnostics import FrameStatistics
from seg_node.ros.faults import Faults
from seg_node.ros.pairing import PairByStamp
from seg_node.ros.parameters import Options
from seg_node.ros.topics import camera_info_topic, input_qos

SILENCE_S = 10.0
AnyImage: TypeAlias = Image | CompressedImage


@dataclass(frozen=True)
class Arrival:
    """An image message, the depth image of that moment if any, and when it came (monotonic, seconds)."""

    image: AnyImage
    depth: AnyImage | None
    at: float


class Inputs:
    """The subscriptions of one camera; all callbacks run in the executor's thread."""

    def __init__(
        self,
        node: Node,
        prefix: str,
        options: Options,
        statistics: FrameStatistics,
        faults: Faults,
        deliver: Callable[[Arrival], None],
        steady: Clock,
    ) -> None:
        """prefix: of the topics, "" or "front/". `deliver` takes each image that is in order."""
        self._node, self._statistics, self._faults, self._deliver = node, statistics, faults, deliver
        self._last_stamp_ns = 0
        self._pairs: PairByStamp[Arrival, AnyImage] | None = None
        if options.depth_enabled:
            self._pairs = PairByStamp(options.depth_slop)
        self.camera_info: CameraInfo | None = None  # the newest
        compressed = options.image_transport == "compressed"
        self._image = self._subscribe(
            CompressedImage if compressed else Image,
            node.resolve_topic_name(f"{prefix}image") + ("/compressed" if compressed else ""),
            self._on_image,
        )
        self._subscriptions = [self._image]
        if options.depth_enabled:
            self._subscriptions += self._subscribe_depth(prefix, options)
        self._silence: Timer = node.create_timer(SILENCE_S, self._warn_of_silence, clock=steady)

    @property
    def topic(self) -> str:
        return str(self._image.topic_name)

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_timer(self._silence)

    def _subscribe_depth(self, prefix: str, options: Options) -> list[Subscription]:
        packed = options.depth_transport == "compressedDepth"
        depth = self._node.resolve_topic_name(f"{prefix}depth") + ("/compressedDepth" if packed else "")
        info = camera_info_topic(self._node, prefix)
        return [
            self._subscribe(CompressedImage if packed else Image, depth, self._on_depth),
            self._subscribe(CameraInfo, info, self._on_camera_info),
        ]

    def _subscribe(
        self, message_type: type[Any], topic: str, callback: Callable[[Any], None]
    ) -> Subscription:
        return self._node.create_subscription(
            message_type,
            topic,
            callback,
            input_qos(),
            event_callbacks=SubscriptionEventCallbacks(message_lost=self._on_message_lost),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _on_image(self, message: AnyImage) -> None:
        self._statistics.received()
        self._silence.cancel()
        stamp_ns = convert.stamp_to_ns(message.header.stamp)
        if not self._in_order(stamp_ns):
            return
        arrival = Arrival(message, None, time.perf_counter())
        if self._pairs is None:
            self._deliver(arrival)
            return
        self._deliver_all(self._pairs.add_image(arrival, stamp_ns))
        if not self._depth_publishers():
            self._deliver_all(self._pairs.give_up())

    def _depth_publishers(self) -> int:
        return int(self._subscriptions[1].get_publisher_count())

    def _on_depth(self, message: AnyImage) -> None:
        assert self._pairs is not None
        self._deliver_all(self._pairs.add_depth(message, convert.stamp_to_ns(message.header.stamp)))

    def _deliver_all(self, pairs: list[tuple[Arrival, AnyImage | None]]) -> None:
        for arrival, depth in pairs:
            self._deliver(Arrival(arrival.image, depth, arrival.at))

    def _on_camera_info(self, message: CameraInfo) -> None:
        self.camera_info = message

    def _in_order(self, stamp_ns: int) -> bool:
        """Refuse a frame older than its predecessor; after a jump back (a looped bag) the next is served."""
        last, self._last_stamp_ns = self._last_stamp_ns, stamp_ns
        if stamp_ns == 0:
            self._faults.warn(
                "zero_stamp",
                "image stamp is zero: results carry it too; let the camera driver set it",
            )
            return True
        if stamp_ns < last:
            self._faults.drop(
                "stamp_backwards", f"image stamp {stamp_ns} ns is older than the one before ({last} ns)"
            )
            return False
        return True

    def _on_message_lost(self, info: QoSMessageLostInfo) -> None:
        self._faults.warn(
            "lost_in_transport",
            "images are lost in transport: start the camera's process with config/fastdds_images.xml "
            "(docs/troubleshooting.md)",
            info.total_count_change,
        )

    def _warn_of_silence(self) -> None:
        """Once after the activation, if no image came: a wrong topic name gives no other sign."""
        self._silence.cancel()
        kind = self._image.msg_type.__name__
        topics = [
            name
            for name, kinds in self._node.get_topic_names_and_types()
            if f"sensor_msgs/msg/{kind}" in kinds and self._node.count_publishers(name)
        ]
        self._node.get_logger().warning(
            f"no image has come on {self.topic} for {SILENCE_S:.0f} s; "
            f"topics on which {kind} is published: {', '.join(topics) or 'none'}"
        )
