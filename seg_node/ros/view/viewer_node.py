# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The subscriber behind `seg_node view`.

All subscriptions are best effort: a slow viewer never holds up the node. A result is shown with the image
of its stamp; when results arrive faster than they can be shown, only the newest is.
"""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from seg_node.images.decode import decode_message
from seg_node.msg import FrameTiming, InstanceMaskArray, Object3DArray
from seg_node.ros.common.topics import input_qos, is_published
from seg_node.ros.messages.camera_info import CameraInfoError, to_pinhole
from seg_node.ros.messages.convert import stamp_to_ns
from seg_node.ros.messages.from_messages import read_cloud, read_instances
from seg_node.sources.left_out import LeftOut

if TYPE_CHECKING:
    from seg_node.drawing.rerun_view import View

# Limit of the images that wait for their results: 3 s of 720p at 30 Hz.
KEPT_BYTES = 256 * 2**20
# Seconds without a node, or without images, after which the alternatives are printed.
PATIENCE_S = 5.0
INSTANCES_TYPE = "seg_node/msg/InstanceMaskArray"
IMAGE_TYPES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}


class RecentImages:
    """The newest images by stamp, in at most `limit` bytes of pixels."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._bytes = 0
        self._images: dict[int, Image | CompressedImage] = {}

    def add(self, message: Image | CompressedImage) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._drop(stamp_ns)
        self._images[stamp_ns] = message
        self._bytes += len(message.data)
        while self._bytes > self._limit and len(self._images) > 1:
            self._drop(next(iter(self._images)))

    def take(self, stamp_ns: int) -> Image | CompressedImage | None:
        """Return the image of that stamp and drop it and all earlier ones; None, dropping none, if absent."""
        image = self._images.get(stamp_ns)
        if image is None:
            return None
        for earlier in list(self._images):
            self._drop(earlier)
            if earlier == stamp_ns:
                break
        return image

    def _drop(self, stamp_ns: int) -> None:
        image = self._images.pop(stamp_ns, None)
        self._bytes -= len(image.data) if image is not None else 0


class Viewer(Node):
    """Forwards the results of one camera of a node to a `View`."""

    def __init__(self, view: "View", node_name: str, camera: str, image_topic: str | None) -> None:
        """node_name: fully qualified. camera: empty for the only one. image_topic: None queries the node."""
        super().__init__("viewer", start_parameter_services=False)
        self.shown = 0
        self.without_image = 0
        self.left_out = LeftOut(lambda line: print(line, file=sys.stderr, flush=True))
        self._view = view
        self._node_name, self._camera, self._image_topic = node_name, camera, image_topic
        self._images = RecentImages()
        self._waiting: InstanceMaskArray | None = None
        self._camera_info: CameraInfo | None = None
        self._image_size = (0, 0)
        self._imageless_since: float | None = (
            None  # time of the first result without an image; inf once warned
        )
        self._outputs = f"{node_name}/{camera}" if camera else node_name

    def find_node(self) -> str | None:
        """Subscribe if the node is active and return its image topic; return None if it is not.

        Raises ValueError when it has no such camera or its image topic is ambiguous.
        """
        namespace, _, name = self._node_name.rpartition("/")
        try:
            inputs = dict(self.get_subscriber_names_and_types_by_node(name, namespace or "/"))
            outputs = dict(self.get_publisher_names_and_types_by_node(name, namespace or "/"))
        except NodeNameNonExistentError:
            return None
        arrays = [topic for topic, kinds in outputs.items() if INSTANCES_TYPE in kinds]
        if not arrays:
            return None
        if f"{self._outputs}/instances" not in arrays:
            unnamed = f"{self._node_name}/instances" in arrays
            raise ValueError(
                f"{self._outputs}/instances is not published; "
                f"{'omit --camera' if unnamed else 'choose the camera with --camera'}: "
                f"{self._node_name} publishes {', '.join(sorted(arrays))}"
            )
        images = {topic: kinds[0] for topic, kinds in inputs.items() if kinds[0] in IMAGE_TYPES}
        topic = self._image_topic or choose_image_topic(images, self._camera)
        if topic is not None:
            self._image_topic = topic
            infos = [name for name, kinds in inputs.items() if "sensor_msgs/msg/CameraInfo" in kinds]
            beside = topic.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
            info_topic = infos[0] if len(infos) == 1 else beside
            kinds_of = self._published_images() | images
            self._subscribe(topic, kinds_of.get(topic, "sensor_msgs/msg/Image"), info_topic)
        return topic

    def list_nodes(self) -> list[str]:
        """List the nodes that publish instances, fully qualified."""
        known = self.get_topic_names_and_types()
        topics = [topic for topic, kinds in known if INSTANCES_TYPE in kinds and is_published(self, topic)]
        ends = [end for topic in topics for end in self.get_publishers_info_by_topic(topic)]
        return sorted({f"{end.node_namespace.rstrip('/')}/{end.node_name}" for end in ends})

    def _published_images(self) -> dict[str, str]:
        """List the published images, topic → type, except the node's own outputs."""
        return {
            topic: kinds[0]
            for topic, kinds in self.get_topic_names_and_types()
            if kinds[0] in IMAGE_TYPES
            and is_published(self, topic)
            and not topic.startswith(f"{self._node_name}/")
        }

    def _subscribe(self, image_topic: str, image_type: str, info_topic: str) -> None:
        """Subscribe to the image first: the executor handles waiting messages in subscription order."""
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        for kind, topic, callback, qos in (
            (IMAGE_TYPES[image_type], image_topic, self._on_image, input_qos()),
            (CameraInfo, info_topic, self._on_camera_info, newest),
            (InstanceMaskArray, f"{self._outputs}/instances", self._on_instances, newest),
            (Object3DArray, f"{self._outputs}/objects", self._on_objects, newest),
            (PointCloud2, f"{self._outputs}/cloud", self._on_cloud, newest),
            (FrameTiming, f"{self._outputs}/timing", self._on_timing, input_qos()),
        ):
            self.create_subscription(kind, topic, self._guarded(topic, callback), qos)

    def _guarded(self, topic: str, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Wrap a callback: a message that cannot be shown is reported and skipped."""

        def call(message: Any) -> None:
            try:
                callback(message)
            except Exception as error:  # from the decoders or Rerun
                self.left_out(f"a message of {topic}", error)

        return call

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._images.add(message)
        if self._waiting is not None and self._waiting.header.stamp == message.header.stamp:
            self._show(self._waiting)

    def _on_instances(self, message: InstanceMaskArray) -> None:
        if self._waiting is not None:
            self.without_image += 1
            self._warn_of_missing_images()
        self._show(message)

    def _warn_of_missing_images(self) -> None:
        """Warn once when no result had an image: a misspelt topic gives no other sign."""
        if self._imageless_since is None:
            self._imageless_since = time.monotonic()
        if self.shown or time.monotonic() - self._imageless_since < PATIENCE_S:
            return
        self._imageless_since = float("inf")
        print(
            f"no image with the results' stamps on {self._image_topic}; choose one with --image, "
            f"images are published on: {', '.join(sorted(self._published_images())) or 'no topic'}",
            flush=True,
        )

    def _show(self, message: InstanceMaskArray) -> None:
        """Show a result now, or when its image arrives."""
        stamp_ns = stamp_to_ns(message.header.stamp)
        image = self._images.take(stamp_ns)
        self._waiting = message if image is None else None
        if image is None:
            return
        frame = decode_message(image)
        self._image_size = (message.height, message.width)
        if frame.image_size != self._image_size:
            raise ValueError(
                f"its image is {message.width}x{message.height}, but {self._image_topic} is "
                f"{frame.image_size[1]}x{frame.image_size[0]}; choose the topic with --image"
            )
        self._view.log_result(frame, *read_instances(message))
        self.shown += 1

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _on_objects(self, message: Object3DArray) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._show_camera(stamp_ns, message.header.frame_id)
        found = [item for item in message.objects if item.num_points > 0]
        poses = [item.pose for item in found]
        self._view.log_objects(
            stamp_ns,
            [item.id for item in found],
            [f"{item.class_name} #{item.id}" for item in found],
            np.array([[p.position.x, p.position.y, p.position.z] for p in poses]).reshape(-1, 3),
            np.array([[getattr(p.orientation, axis) for axis in "xyzw"] for p in poses]).reshape(-1, 4),
            np.array([[item.size.x, item.size.y, item.size.z] for item in found]).reshape(-1, 3),
        )

    def _show_camera(self, stamp_ns: int, frame_id: str) -> None:
        """Show the camera in the scene when the objects are in its own frame."""
        info = self._camera_info
        if info is None or info.header.frame_id != frame_id or not all(self._image_size):
            return
        try:
            self._view.log_pinhole(stamp_ns, to_pinhole(info, self._image_size))
        except CameraInfoError:
            return  # the node reports it

    def _on_cloud(self, message: PointCloud2) -> None:
        self._view.log_cloud(stamp_to_ns(message.header.stamp), *read_cloud(message))

    def _on_timing(self, message: FrameTiming) -> None:
        names = [name for name in message.get_fields_and_field_types() if name.endswith("_ms")]
        milliseconds = {name.removesuffix("_ms"): getattr(message, name) for name in names}
        self._view.log_timing(stamp_to_ns(message.header.stamp), milliseconds)


def choose_image_topic(images: Mapping[str, str], camera: str) -> str | None:
    """Choose the camera's image among a node's subscriptions (topic → type); None if there is none.

    Depth images are recognised by their topic's name. Raises ValueError when several remain.
    """
    own = [topic for topic in images if not camera or camera in topic.split("/")] or list(images)
    colour = [topic for topic in own if "depth" not in topic] or own
    if len(colour) > 1:
        raise ValueError(f"the node subscribes to {', '.join(sorted(colour))}: choose one with --image TOPIC")
    return colour[0] if colour else None
