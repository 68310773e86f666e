# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The output topics of one camera. Messages without subscribers are not built."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from seg_node.masks.label_images import class_map, confidence_map, instance_map, resample
from seg_node.msg import FrameTiming, InstanceMaskArray, Object3DArray, PanopticSegmentation
from seg_node.ros.common.topics import create_latched, create_output, has_subscriber
from seg_node.ros.messages import convert, vision
from seg_node.ros.messages.cdr import serialize_instances, serialize_panoptic
from seg_node.ros.messages.markers import to_markers
from seg_node.ros.messages.objects import to_cloud, to_objects
from seg_node.ros.node.debug_image import DebugImage
from seg_node.ros.node.locate import Space
from seg_node.ros.node.options import Options
from seg_node.types import Frame, LabelSet, Segmentation


@dataclass(frozen=True)
class Result:
    """A processed frame before it is published, with the milliseconds of the steps so far.

    space: None when nobody subscribes to objects in metres, no depth image fitted, or TF is awaited.
    """

    frame: Frame
    segmentation: Segmentation
    space: Space | None
    milliseconds: Mapping[str, float]


@dataclass(frozen=True)
class _Output:
    """A topic and the function that makes its message, or the bytes of it; None: nothing to publish."""

    publisher: Publisher
    topic: str  # read once: a publisher that is destroyed has no name any more
    make: Callable[..., Any | None]


class Outputs:
    """The publishers of one camera. `publish` is called by one thread at a time."""

    def __init__(
        self,
        node: Node,
        prefix: str,
        labels: LabelSet,
        score_threshold: float,
        on_fault: Callable[[str, BaseException], None],
    ) -> None:
        """Create the publishers. prefix: of the topics. score_threshold: published in LabelInfo.

        `on_fault(text, error)` is called when a message could not be made, drawn or sent.
        """
        self._node, self._prefix, self._labels, self._on_fault = node, prefix, labels, on_fault
        self._announced = labels  # in LabelInfo; differs from the model's own once prompts change
        self._threshold = score_threshold
        self._created: list[Publisher] = []
        self._without_time: float | None = None  # the threshold of a LabelInfo with stamp 0
        try:
            self._create_all(score_threshold)
        except BaseException:  # such as a QoS override that is none
            self._destroy()
            raise

    def _create_all(self, score_threshold: float) -> None:
        self._instances = self._create(InstanceMaskArray, "instances", self._make_instances)
        self._panoptic = self._create(PanopticSegmentation, "panoptic", self._make_panoptic)
        self._of_classes = [
            self._create(Image, "class_map", self._make_class_map),
            self._create(CompressedImage, "class_map/compressed", self._make_class_png),
            self._create(Image, "confidence_map", self._make_confidence_map),
        ]
        self._of_instances = [
            self._create(Image, "instance_map", self._make_instance_map),
            self._create(CompressedImage, "instance_map/compressed", self._make_instance_png),
        ]
        self._cloud = self._create(PointCloud2, "cloud", self._make_cloud)
        self._in_space = [
            self._create(Object3DArray, "objects", self._make_objects),
            self._cloud,
            self._create(MarkerArray, "markers", self._make_markers),
        ]
        self._standard: list[_Output] = []
        self._label_info: Publisher | None = None
        if vision.installed():
            self._create_standard(score_threshold)
        self._timing = self._publisher(FrameTiming, "timing")
        raw = self._publisher(Image, "debug_image")
        compressed = self._publisher(CompressedImage, "debug_image/compressed")
        self._debug = DebugImage(raw, compressed, self._labels, self._on_fault)

    @property
    def alive(self) -> bool:
        """Whether the debug image's thread is alive."""
        return self._debug.alive

    def publish_label_info(self, score_threshold: float) -> None:
        """Publish the threshold in LabelInfo, beside the classes' names."""
        self._threshold = score_threshold
        if self._label_info is None:
            return
        now = self._node.get_clock().now()
        self._label_info.publish(vision.label_info(self._announced, score_threshold, now.to_msg()))
        self._without_time = score_threshold if now.nanoseconds == 0 else None

    def announce_labels(self, labels: LabelSet) -> None:
        """Publish LabelInfo again if these are not its names."""
        if labels == self._announced:
            return
        self._announced = labels
        try:
            self.publish_label_info(self._threshold)
        except Exception as error:  # spares the frame's messages
            self._on_fault("label_info", error)

    def stamp_when_time_begins(self) -> None:
        """Publish again what was latched before the first /clock, under use_sim_time."""
        if self._without_time is not None and self._node.get_clock().now().nanoseconds:
            self.publish_label_info(self._without_time)

    def wanted(self) -> bool:
        """Return whether any output has a subscriber."""
        return any(has_subscriber(publisher) for publisher in self._publishers())

    def shared_topic(self) -> str | None:
        """Return a topic that another node publishes too, None without one."""
        topic = self._instances.topic
        return topic if self._node.count_publishers(topic) > 1 else None

    def panoptic_wanted(self, options: Options) -> bool:
        if has_subscriber(self._panoptic.publisher):
            return True
        if not self._labels.stuff:
            return False
        drawn = options.debug_stuff and self._debug.wanted()
        return drawn or any(has_subscriber(output.publisher) for output in self._of_classes)

    def space_wanted(self) -> bool:
        return any(has_subscriber(output.publisher) for output in self._in_space)

    def cloud_wanted(self) -> bool:
        return has_subscriber(self._cloud.publisher)

    def publish(self, result: Result, options: Options) -> dict[str, float]:
        """Publish what has subscribers, planners' topics first; returns the frame's timing in ms."""
        began = time.perf_counter()
        self.announce_labels(self._names(result.segmentation))
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
        self._send(
            _Output(self._timing, "~/timing", lambda: convert.to_timing(result.frame, timing)),
        )
        return timing

    def publish_space(self, space: Space) -> None:
        """Publish the objects in metres, with their image's results or after them."""
        for output in self._in_space:
            self._send(output, space)

    def close(self) -> None:
        self._debug.close()
        self._destroy()

    def _destroy(self) -> None:
        for publisher in self._created:
            self._node.destroy_publisher(publisher)

    def _publisher(self, message_type: type[Any], topic: str) -> Publisher:
        self._created.append(create_output(self._node, message_type, self._prefix + topic))
        return self._created[-1]

    def _create(self, message_type: type[Any], topic: str, make: Callable[..., Any | None]) -> _Output:
        publisher = self._publisher(message_type, topic)
        return _Output(publisher, str(publisher.topic_name), make)

    def _create_standard(self, score_threshold: float) -> None:
        """Create the topics of vision_msgs; the package must be installed."""
        detections_3d = self._create(vision.Detection3DArray, "detections_3d", self._make_detections_3d)
        self._standard.append(self._create(vision.Detection2DArray, "detections", self._make_detections))
        self._in_space.append(detections_3d)
        self._label_info = create_latched(self._node, vision.LabelInfo, f"{self._prefix}label_info")
        self._created.append(self._label_info)
        self.publish_label_info(score_threshold)

    @property
    def _maps(self) -> list[_Output]:
        return [self._panoptic, *self._of_instances, *self._of_classes]

    def _publishers(self) -> list[Publisher]:
        outputs = [self._instances, *self._in_space, *self._standard, *self._maps]
        publishers = [output.publisher for output in outputs]
        return [*publishers, self._timing, *self._debug.publishers()]

    def _send(self, output: _Output, *content: Any) -> None:
        """Publish one message; a failure, such as a writer under back-pressure, spares the other outputs."""
        try:
            if not has_subscriber(output.publisher):
                return
            message = output.make(*content)
            if message is not None:
                output.publisher.publish(message)
        except Exception as error:
            self._on_fault(output.topic, error)

    def _make_instances(self, result: Result, options: Options) -> bytes:
        return serialize_instances(
            result.frame, result.segmentation, self._names(result.segmentation), options.mask_encoding
        )

    def _make_panoptic(self, result: Result, options: Options) -> bytes | None:
        if result.segmentation.panoptic is None:  # the subscriber came after the frame was begun
            return None
        return serialize_panoptic(result.frame, result.segmentation, self._names(result.segmentation))

    def _make_instance_map(self, result: Result, options: Options) -> Image:
        return convert.to_image(_instances(result), "mono16", result.frame)

    def _make_instance_png(self, result: Result, options: Options) -> CompressedImage:
        return convert.to_png(_instances(result), "mono16", result.frame)

    def _make_class_map(self, result: Result, options: Options) -> Image:
        return convert.to_image(_of_classes(class_map, result, options), "mono8", result.frame)

    def _make_class_png(self, result: Result, options: Options) -> CompressedImage:
        return convert.to_png(_of_classes(class_map, result, options), "mono8", result.frame)

    def _make_confidence_map(self, result: Result, options: Options) -> Image:
        return convert.to_image(_of_classes(confidence_map, result, options), "mono8", result.frame)

    def _make_detections(self, result: Result, options: Options) -> Any:
        return vision.detections_2d(result.frame, result.segmentation, self._names(result.segmentation))

    def _make_objects(self, space: Space) -> Object3DArray:
        return to_objects(space.frame, space.objects, self._names(space))

    def _make_cloud(self, space: Space) -> PointCloud2:
        return to_cloud(space.frame, space.objects)

    def _make_markers(self, space: Space) -> MarkerArray:
        return to_markers(space.frame, space.objects, self._names(space), z_up=not space.in_camera)

    def _make_detections_3d(self, space: Space) -> Any:
        return vision.detections_3d(space.frame, space.objects, self._names(space))

    def _names(self, found: Segmentation | Space) -> LabelSet:
        """Return the names that belong to a frame, which may be processed when the prompts change."""
        return found.labels or self._labels

    def _age_ms(self, frame: Frame) -> float:
        now_ns = self._node.get_clock().now().nanoseconds  # 0 until the first /clock with use_sim_time
        return (now_ns - frame.stamp_ns) / 1e6 if now_ns and frame.stamp_ns else 0.0


def _instances(result: Result) -> NDArray[np.uint16]:
    return instance_map(result.segmentation.instances, result.segmentation.image_size)


def _of_classes(
    paint: Callable[..., NDArray[np.uint8]], result: Result, options: Options
) -> NDArray[np.uint8]:
    """Paint a map of classes in the size of the parameter class_map.size."""
    found = result.segmentation
    image = paint(found.instances, found.panoptic, found.image_size)
    width, height = options.class_map_size
    return resample(image, (height, width)) if width else image
