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
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_node.ros import convert
from seg_node.ros.diagnostics import FrameStatistics
from seg_node.ros.faults import Faults
from seg_node.ros.pairing import PairByStamp
from seg_node.ros.parameters import Options
from seg_node.ros.receiver import ReceivedElsewhere, Receiver
from seg_node.ros.silence import Silence
from seg_node.ros.topics import camera_info_topic, input_qos

AnyImage: TypeAlias = Image | CompressedImage


@dataclass(frozen=True)
class Arrival:
    """An image message, the depth image of that moment if any, and when it came (monotonic, seconds)."""

    image: AnyImage
    depth: AnyImage | None
    at: float


class Inputs:
    """The subscriptions of one camera; all callbacks run in its receiver's thread."""

    def __init__(
        self,
        node: Node,
        prefix: str,
        options: Options,
        statistics: FrameStatistics,
        faults: Faults,
        deliver: Callable[[Arrival], None],
        steady: Clock,
        saw: Callable[[int], None],
    ) -> None:
        """prefix: of the topics, "" or "front/". `deliver` takes each image that is in order.

        saw: called with the stamp (ns) of each image, also of those that are not.
        """
        self._saw = saw
        self._node, self._statistics, self._faults, self._deliver = node, statistics, faults, deliver
        self._last_stamp_ns = 0
        self._pairs: PairByStamp[Arrival, AnyImage] | None = None
        if options.depth_enabled:
            self._pairs = PairByStamp(options.depth_slop)
        self.camera_info: CameraInfo | None = None  # the newest
        self._silences: dict[str, Silence] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._group = ReceivedElsewhere()
        packed = options.image_transport == "compressed"
        self._subscribe_images(
            f"{prefix}image", "/compressed", packed, "image_transport", self._on_image, steady
        )
        if options.depth_enabled:
            packed = options.depth_transport == "compressedDepth"
            self._subscribe_images(
                f"{prefix}depth", "/compressedDepth", packed, "depth.transport", self._on_depth, steady
            )
            topic = camera_info_topic(node, prefix)
            self._subscribe("camera_info", CameraInfo, topic, self._on_camera_info, None, steady)
        subscriptions = list(self._subscriptions.values())
        self._receiver = Receiver(subscriptions, node.context, self._on_fault, self._end_waiting)

    @property
    def topic(self) -> str:
        """Of the images."""
        return str(self._subscriptions["image"].topic_name)

    @property
    def topics(self) -> str:
        """All, for people."""
        return ", ".join(f"{what} {found.topic_name}" for what, found in self._subscriptions.items())

    def close(self) -> None:
        """No image is delivered afterwards; the one that waits for depth is, before."""
        self._receiver.close()
        if self._pairs is not None:
            self._deliver_all(self._pairs.give_up())
        for silence in self._silences.values():
            silence.close()
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)

    def _subscribe_images(
        self,
        name: str,
        suffix: str,
        packed: bool,
        parameter: str,
        callback: Callable[[Any], None],
        steady: Clock,
    ) -> None:
        """Raw, or packed by a transport of image_transport, whose topic has the suffix."""
        topic = self._node.resolve_topic_name(name)
        own, other = (topic + suffix, topic) if packed else (topic, topic + suffix)
        advice = f"{parameter} to {'raw' if packed else suffix[1:]}"
        message_type = CompressedImage if packed else Image
        self._subscribe(name.rpartition("/")[2], message_type, own, callback, (other, advice), steady)

    def _subscribe(
        self,
        what: str,
        message_type: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        other: tuple[str, str] | None,
        steady: Clock,
    ) -> None:
        found = self._node.create_subscription(
            message_type,
            topic,
            callback,
            input_qos(),
            callback_group=self._group,
            event_callbacks=SubscriptionEventCallbacks(message_lost=self._on_message_lost),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._subscriptions[what] = found
        self._silences[what] = Silence(self._node, found, what, other, steady)

    def _on_image(self, message: AnyImage) -> None:
        self._statistics.received()
        self._silences["image"].end()
        stamp_ns = convert.stamp_to_ns(message.header.stamp)
        self._saw(stamp_ns)
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
        return int(self._subscriptions["depth"].get_publisher_count())

    def _on_depth(self, message: AnyImage) -> None:
        assert self._pairs is not None
        self._silences["depth"].end()
        self._deliver_all(self._pairs.add_depth(message, convert.stamp_to_ns(message.header.stamp)))

    def _end_waiting(self) -> None:
        if self._pairs is not None:
            self._deliver_all(self._pairs.overdue())

    def _deliver_all(self, pairs: list[tuple[Arrival, AnyImage | None]]) -> None:
        for arrival, depth in pairs:
            self._deliver(Arrival(arrival.image, depth, arrival.at))

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._silences["camera_info"].end()
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

    def _on_fault(self, text: str) -> None:
        self._faults.warn("not_received", f"{self.topics}: a message could not be received: {text}")

    def _on_message_lost(self, info: QoSMessageLostInfo) -> None:
        self._faults.warn(
            "lost_in_transport",
            "images are lost in transport: start the camera's process with config/fastdds_images.xml "
            "(docs/troubleshooting.md)",
            info.total_count_change,
        )
