# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The subscriptions of one camera: colour images, and with depth its depth images and calibration."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rclpy.clock import Clock
from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_node.errors import Refused
from seg_node.ros.common.topics import VIDEO_DEPTH, camera_info_topic, input_qos, naming_topic, whole_name
from seg_node.ros.messages import convert, video
from seg_node.ros.messages.received_image import AnyImage, Unreadable, read_compressed_image, read_image
from seg_node.ros.node.diagnostics import FrameStatistics
from seg_node.ros.node.faults import Faults
from seg_node.ros.node.no_data_warning import NoDataWarning
from seg_node.ros.node.options import Options
from seg_node.ros.node.pairing import PairByStamp
from seg_node.ros.node.receiver import ExternallyPolledGroup, Receiver
from seg_node.ros.node.stamp_order import StampOrder
from seg_node.ros.node.video_input import VideoInput

# Each transport's topic below the image's or the depth's, as image_transport's plugins name it.
_IMAGE_SUFFIXES = {
    "raw": "",
    "compressed": "/compressed",
    "ffmpeg": "/ffmpeg",
    "compressed_video": "/foxglove",
}
_DEPTH_SUFFIXES = {"raw": "", "compressedDepth": "/compressedDepth"}


@dataclass(frozen=True, eq=False)
class Arrival:
    """An image message with the depth image and calibration of that moment, if any.

    at: when it came, monotonic seconds. calibration: returns the CameraInfo that was the newest when the
    image was handed on; if none had come by then, the newest now. Compared by identity: two images may be
    equal.
    """

    image: AnyImage
    at: float
    depth: AnyImage | None = None
    calibration: Callable[[], CameraInfo | None] = lambda: None


class Inputs:
    """The subscriptions of one camera. Images, depth and calibration come in its receiver's thread."""

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
        """Subscribe. prefix: of the topics, "" or "front/". `deliver` takes each image that is in order.

        saw: called with the stamp (ns) of every image, in order or not.
        """
        self._saw = saw
        self._node, self._statistics, self._faults, self._deliver = node, statistics, faults, deliver
        self._order = StampOrder()
        self._read_image = read_compressed_image if options.image_transport == "compressed" else read_image
        packed = options.depth_transport == "compressedDepth"
        self._read_depth = read_compressed_image if packed else read_image
        transport = options.image_transport
        self._video = VideoInput(transport, statistics, faults) if video.is_video(transport) else None
        self._pairs: PairByStamp[Arrival, AnyImage] | None = None
        if options.depth_enabled:
            self._pairs = PairByStamp(options.depth_slop)
        self.camera_info: CameraInfo | None = None  # the newest
        self._warnings: dict[str, NoDataWarning] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._group = ExternallyPolledGroup()
        try:
            self._subscribe_all(prefix, options, steady)
        except BaseException:
            self._destroy()
            raise
        # Read once: a subscription that is destroyed has no name any more.
        self.topic = str(self._subscriptions["image"].topic_name)
        self.topics = ", ".join(f"{what} {found.topic_name}" for what, found in self._subscriptions.items())
        self._receiver = Receiver(
            # Calibration and depth first: an image that came with them goes on with them.
            list(reversed(self._subscriptions.values())),
            node.context,
            self._on_fault,
            on_turn=self._end_waiting,
        )

    @property
    def alive(self) -> bool:
        """Whether the receiving thread is alive."""
        return self._receiver.alive

    def close(self) -> int:
        """Unsubscribe; returns how many images were waiting for their depth or a video's next packet."""
        self._receiver.close()
        self._destroy()
        return len(self._give_up()) + (self._video.pending if self._video is not None else 0)

    def _destroy(self) -> None:
        for warning in self._warnings.values():
            warning.close()
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)

    def _subscribe_all(self, prefix: str, options: Options, steady: Clock) -> None:
        transport = ("image_transport", options.image_transport)
        self._subscribe_images(f"{prefix}image", transport, _IMAGE_SUFFIXES, self._on_image, steady)
        if not options.depth_enabled:
            return
        transport = ("depth.transport", options.depth_transport)
        self._subscribe_images(f"{prefix}depth", transport, _DEPTH_SUFFIXES, self._on_depth, steady)
        topic = camera_info_topic(self._node, prefix)
        self._subscribe("camera_info", CameraInfo, topic, self._on_camera_info, (), steady)

    def _subscribe_images(
        self,
        name: str,
        transport: tuple[str, str],
        suffixes: Mapping[str, str],
        callback: Callable[[Any], None],
        steady: Clock,
    ) -> None:
        """Subscribe to raw images, or to those of an image_transport.

        transport: the parameter and its value. suffixes: of the topics, by the parameter's values.
        """
        topic, (parameter, chosen) = whole_name(self._node, name), transport
        others = [
            (topic + suffix, f"{parameter} to {value}")
            for value, suffix in suffixes.items()
            if value != chosen
        ]
        if video.is_video(chosen):
            message_type = video.message_type(chosen)
        else:
            message_type = Image if chosen == "raw" else CompressedImage
        what = name.rpartition("/")[2]
        self._subscribe(what, message_type, topic + suffixes[chosen], callback, others, steady)

    def _subscribe(
        self,
        what: str,
        message_type: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        others: Sequence[tuple[str, str]],
        steady: Clock,
    ) -> None:
        is_video = what == "image" and self._video is not None
        with naming_topic(self._node, topic):
            found = self._node.create_subscription(
                message_type,
                topic,
                callback,
                input_qos(VIDEO_DEPTH) if is_video else input_qos(),
                raw=message_type is not CameraInfo,
                callback_group=self._group,
                event_callbacks=SubscriptionEventCallbacks(message_lost=self._on_message_lost),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        self._subscriptions[what] = found
        self._warnings[what] = NoDataWarning(self._node, found, what, others, steady)

    def _on_image(self, data: bytes) -> None:
        self._statistics.received()
        self._warnings["image"].heard()
        at = time.perf_counter()
        try:
            if self._video is None:
                self._take(self._read_image(data), at)
                return
            for picture in self._video.decode(data, self.topic):
                self._take(picture, at)
        except Unreadable as error:
            self._faults.drop(error.reason, f"{self.topic}: {error}; is the publisher's type another one?")
        except Refused as error:
            self._faults.drop(error.reason, f"{self.topic}: {error}")

    def _take(self, message: AnyImage, at: float) -> None:
        """Deliver an image that is in order. at: when it came, monotonic seconds."""
        stamp_ns = convert.stamp_to_ns(message.header.stamp)
        self._saw(stamp_ns)
        if not self._in_order(message):
            return
        arrival = Arrival(message, at)
        if self._pairs is None:
            self._deliver(arrival)
            return
        self._deliver_all(self._pairs.add_image(arrival, stamp_ns))
        if not self._depth_publishers():
            self._deliver_all(self._give_up())

    def _end_waiting(self) -> None:
        if self._pairs is not None:
            self._deliver_all(self._pairs.overdue())

    def _give_up(self) -> list[tuple[Arrival, AnyImage | None]]:
        """Return the image that waits for its depth, if any, without depth."""
        return [] if self._pairs is None else self._pairs.give_up()

    def _depth_publishers(self) -> int:
        return int(self._subscriptions["depth"].get_publisher_count())

    def _on_depth(self, data: bytes) -> None:
        assert self._pairs is not None
        self._warnings["depth"].heard()
        try:
            message = self._read_depth(data)
        except Unreadable as error:
            self._faults.warn("depth_unreadable", f"{self.topics}: {error}; is the depth's type another one?")
            return
        self._deliver_all(self._pairs.add_depth(message, convert.stamp_to_ns(message.header.stamp)))

    def _deliver_all(self, pairs: list[tuple[Arrival, AnyImage | None]]) -> None:
        for arrival, depth in pairs:
            self._deliver(replace(arrival, depth=depth, calibration=self._calibration()))

    def _calibration(self) -> Callable[[], CameraInfo | None]:
        """Return Arrival.calibration of an image that is handed on now."""
        newest = self.camera_info
        # The first CameraInfo often comes a moment after the first image, which does not wait for it: it is
        # only needed once the model has run.
        return (lambda: self.camera_info) if newest is None else (lambda: newest)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._warnings["camera_info"].heard()
        self.camera_info = message

    def _in_order(self, message: AnyImage) -> bool:
        refusal = self._order.refusal(message.header.stamp)
        if refusal is not None:
            self._faults.drop(*refusal)
            return False
        if convert.stamp_to_ns(message.header.stamp) == 0:
            self._faults.warn(
                "zero_stamp",
                "image stamp is zero: results carry it too; let the camera driver set it",
            )
        return True

    def _on_fault(self, subscription: Subscription | None, error: BaseException | None) -> None:
        what = next((name for name, found in self._subscriptions.items() if found is subscription), "")
        if error is not None:
            text = f"{self.topics}: {type(error).__name__}: {error}"
            self._faults.warn("not_received", text, unforeseen=error)
            return
        self._faults.warn(
            "unreadable", f"a {what} message cannot be read: is the publisher's type another one?"
        )

    def _on_message_lost(self, info: QoSMessageLostInfo) -> None:
        if self._video is not None:
            self._video.note_loss()
        self._faults.warn(
            "lost_in_transport",
            "images are lost in transport: the camera's process needs config/fastdds_images.xml, and room in "
            "/dev/shm (docs/troubleshooting.md)",
            info.total_count_change,
        )
