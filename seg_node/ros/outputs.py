"""One camera's output topics. Work that nobody subscribes to is not done."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from seg_node.msg import FrameTiming, InstanceMaskArray, Object3DArray, PanopticSegmentation
from seg_node.panoptic import class_map, instance_map
from seg_node.ros import convert, vision
from seg_node.ros.convert_objects import to_cloud, to_objects
from seg_node.ros.debug_image import DebugImage
from seg_node.ros.markers import to_markers
from seg_node.ros.parameters import Options
from seg_node.ros.serialize import serialize_instances, serialize_panoptic
from seg_node.ros.space import Space
from seg_node.ros.topics import create_latched, create_output, has_subscriber
from seg_node.types import Frame, LabelSet, Segmentation


@dataclass(frozen=True)
class Result:
    """One processed frame on its way out, with the milliseconds of the steps before publishing.

    space: None when nobody asked for objects in metres, no depth image fitted, or TF is waited for.
    """

    frame: Frame
    segmentation: Segmentation
    space: Space | None
    milliseconds: Mapping[str, float]


@dataclass(frozen=True)
class _Output:
    """A topic, and how its message, or the bytes of it, is made; None: there is nothing to tell."""

    publisher: Publisher
    make: Callable[[Result, Options], Any | None]


@dataclass(frozen=True)
class _SpaceOutput:
    """A topic of objects in metres."""

    publisher: Publisher
    make: Callable[[Space], Any]


class Outputs:
    """The publishers of one camera. `publish` is called by the worker thread only."""

    def __init__(
        self,
        node: Node,
        prefix: str,
        labels: LabelSet,
        score_threshold: float,
        on_fault: Callable[[str], None],
    ) -> None:
        """prefix: of the topics. score_threshold: told in LabelInfo.

        `on_fault(text)` is called when a message could not be drawn or sent.
        """
        self._node, self._prefix, self._labels, self._on_fault = node, prefix, labels, on_fault
        self._instances = self._create(InstanceMaskArray, "instances", self._make_instances)
        self._panoptic = self._create(PanopticSegmentation, "panoptic", self._make_panoptic)
        self._instance_map = self._create(Image, "instance_map", self._make_instance_map)
        self._class_map = self._create(Image, "class_map", self._make_class_map)
        self._cloud = self._create_in_space(PointCloud2, "cloud", self._make_cloud)
        self._in_space = [
            self._create_in_space(Object3DArray, "objects", self._make_objects),
            self._cloud,
            self._create_in_space(MarkerArray, "markers", self._make_markers),
        ]
        self._standard: list[_Output] = []
        self._label_info: Publisher | None = None
        if vision.installed():
            self._create_standard(score_threshold)
        self._timing = create_output(node, FrameTiming, f"{prefix}timing")
        self._debug = DebugImage(node, prefix, labels, on_fault)

    def tell_threshold(self, score_threshold: float) -> None:
        """In LabelInfo, beside the classes' names."""
        if self._label_info is not None:
            stamp = self._node.get_clock().now().to_msg()
            self._label_info.publish(vision.label_info(self._labels, score_threshold, stamp))

    def wanted(self) -> bool:
        """Whether any output has a subscriber."""
        return any(has_subscriber(publisher) for publisher in self._publishers())

    def shared_topic(self) -> str | None:
        """A topic that somebody else publishes too."""
        topic = str(self._instances.publisher.topic_name)
        return topic if self._node.count_publishers(topic) > 1 else None

    def panoptic_wanted(self) -> bool:
        if has_subscriber(self._panoptic.publisher):
            return True
        shows_stuff = bool(self._labels.stuff)
        return shows_stuff and (has_subscriber(self._class_map.publisher) or self._debug.wanted())

    def space_wanted(self) -> bool:
        return any(has_subscriber(output.publisher) for output in self._in_space)

    def cloud_wanted(self) -> bool:
        return has_subscriber(self._cloud.publisher)

    def publish(self, result: Result, options: Options) -> dict[str, float]:
        """Send what is subscribed to; gives the complete timing of the frame in milliseconds.

        In this order: what planners wait for comes first.
        """
        began = time.perf_counter()
        self._send(self._instances, result, options)
        if result.space is not None:
            self.publish_space(result.space)
        for output in [*self._standard, *self._maps]:
            self._send(output, result, options)
        if self._debug.wanted():
            self._debug.offer(result.frame, result.segmentation, options)
        now = time.perf_counter()
        timing = {
            **result.milliseconds,
            "publish_ms": (now - began) * 1e3,
            "age_ms": self._age_ms(result.frame),
        }
        self._send(_Output(self._timing, lambda *_: convert.to_timing(result.frame, timing)), result, options)
        return timing

    def publish_space(self, space: Space) -> None:
        """Send the objects in metres, with their image's results or after them."""
        for output in self._in_space:
            if has_subscriber(output.publisher):
                self._send_message(output.publisher, output.make(space))

    def close(self) -> None:
        self._debug.close()
        for publisher in [*self._publishers(), *filter(None, [self._label_info])]:
            self._node.destroy_publisher(publisher)

    def _create(
        self, message_type: type[Any], topic: str, make: Callable[[Result, Options], Any | None]
    ) -> _Output:
        return _Output(create_output(self._node, message_type, self._prefix + topic), make)

    def _create_in_space(
        self, message_type: type[Any], topic: str, make: Callable[[Space], Any]
    ) -> _SpaceOutput:
        return _SpaceOutput(create_output(self._node, message_type, self._prefix + topic), make)

    def _create_standard(self, score_threshold: float) -> None:
        """The messages of vision_msgs, where that package is installed."""
        detections_3d = self._create_in_space(
            vision.Detection3DArray, "detections_3d", self._make_detections_3d
        )
        self._standard.append(self._create(vision.Detection2DArray, "detections", self._make_detections))
        self._in_space.append(detections_3d)
        self._label_info = create_latched(self._node, vision.LabelInfo, f"{self._prefix}label_info")
        self.tell_threshold(score_threshold)

    @property
    def _maps(self) -> list[_Output]:
        return [self._panoptic, self._instance_map, self._class_map]

    def _publishers(self) -> list[Publisher]:
        publishers = [output.publisher for output in (self._instances, *self._standard, *self._maps)]
        publishers += [output.publisher for output in self._in_space]
        return [*publishers, self._timing, *self._debug.publishers()]

    def _send(self, output: _Output, result: Result, options: Options) -> None:
        if has_subscriber(output.publisher):
            message = output.make(result, options)
            if message is not None:
                self._send_message(output.publisher, message)

    def _send_message(self, publisher: Publisher, message: Any) -> None:
        try:
            publisher.publish(message)
        except RuntimeError as error:  # RCLError: a reliable writer under back-pressure
            self._on_fault(f"{publisher.topic_name}: {error}")

    def _make_instances(self, result: Result, options: Options) -> bytes:
        return serialize_instances(result.frame, result.segmentation, self._labels, options.mask_encoding)

    def _make_panoptic(self, result: Result, options: Options) -> bytes | None:
        if result.segmentation.panoptic is None:  # the subscriber came after the frame was begun
            return None
        return serialize_panoptic(result.frame, result.segmentation, self._labels)

    def _make_instance_map(self, result: Result, options: Options) -> Image:
        found = result.segmentation
        return convert.to_image(instance_map(found.instances, found.image_size), "mono16", result.frame)

    def _make_class_map(self, result: Result, options: Options) -> Image:
        found = result.segmentation
        classes = class_map(found.instances, found.panoptic, found.image_size)
        return convert.to_image(classes, "mono8", result.frame)

    def _make_detections(self, result: Result, options: Options) -> Any:
        return vision.detections_2d(result.frame, result.segmentation, self._labels)

    def _make_objects(self, space: Space) -> Object3DArray:
        return to_objects(space.frame, space.objects, self._labels)

    def _make_cloud(self, space: Space) -> PointCloud2:
        return to_cloud(space.frame, space.objects)

    def _make_markers(self, space: Space) -> MarkerArray:
        return to_markers(space.frame, space.objects, self._labels, z_up=not space.in_camera)

    def _make_detections_3d(self, space: Space) -> Any:
        return vision.detections_3d(space.frame, space.objects, self._labels)

    def _age_ms(self, frame: Frame) -> float:
        if frame.stamp_ns == 0:
            return 0.0
        return (self._node.get_clock().now().nanoseconds - frame.stamp_ns) / 1e6
