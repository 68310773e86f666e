"""The node's output topics. Work that nobody subscribes to is not done."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image

from seg_node.msg import FrameTiming, InstanceMaskArray, PanopticSegmentation
from seg_node.panoptic import class_map, instance_map
from seg_node.ros import convert
from seg_node.ros.debug_image import DebugImage
from seg_node.ros.parameters import Options
from seg_node.ros.topics import create_output, has_subscriber
from seg_node.types import Frame, LabelSet, Segmentation


@dataclass(frozen=True)
class Result:
    """One processed frame on its way out, with the milliseconds of the steps before publishing."""

    frame: Frame
    segmentation: Segmentation
    milliseconds: Mapping[str, float]


class Outputs:
    """The publishers of one camera. `publish` is called by the worker thread only."""

    def __init__(self, node: Node, labels: LabelSet, on_fault: Callable[[str], None]) -> None:
        """`on_fault(text)` is called when a message could not be drawn or sent."""
        self._node = node
        self._labels = labels
        self._on_fault = on_fault
        self._instances = create_output(node, InstanceMaskArray, "~/instances")
        self._panoptic = create_output(node, PanopticSegmentation, "~/panoptic")
        self._instance_map = create_output(node, Image, "~/instance_map")
        self._class_map = create_output(node, Image, "~/class_map")
        self._timing = create_output(node, FrameTiming, "~/timing")
        self._debug = DebugImage(node, labels, on_fault)

    def wanted(self) -> bool:
        """Whether any output has a subscriber."""
        return any(has_subscriber(publisher) for publisher in self._publishers())

    def panoptic_wanted(self) -> bool:
        if has_subscriber(self._panoptic):
            return True
        shows_stuff = bool(self._labels.stuff)
        return shows_stuff and (has_subscriber(self._class_map) or self._debug.wanted())

    def publish(self, result: Result, options: Options) -> dict[str, float]:
        """Send what is subscribed to; gives the complete timing of the frame in milliseconds."""
        began = time.perf_counter()
        frame, segmentation = result.frame, result.segmentation
        size = segmentation.image_size
        self._send(
            self._instances,
            lambda: convert.to_instances(frame, segmentation, self._labels, options.mask_encoding),
        )
        if segmentation.panoptic is not None:
            self._send(self._panoptic, lambda: convert.to_panoptic(frame, segmentation, self._labels))
        self._send(
            self._instance_map,
            lambda: convert.to_image(instance_map(segmentation.instances, size), "mono16", frame),
        )
        self._send(
            self._class_map,
            lambda: convert.to_image(
                class_map(segmentation.instances, segmentation.panoptic, size), "mono8", frame
            ),
        )
        if self._debug.wanted():
            self._debug.offer(frame, segmentation, options)
        now = time.perf_counter()
        timing = {
            **result.milliseconds,
            "publish_ms": (now - began) * 1e3,
            "age_ms": self._age_ms(frame),
        }
        self._send(self._timing, lambda: convert.to_timing(frame, timing))
        return timing

    def close(self) -> None:
        self._debug.close()
        for publisher in self._publishers():
            self._node.destroy_publisher(publisher)

    def _publishers(self) -> tuple[Publisher, ...]:
        return (
            self._instances,
            self._panoptic,
            self._instance_map,
            self._class_map,
            self._timing,
            *self._debug.publishers(),
        )

    def _send(self, publisher: Publisher, make: Callable[[], object]) -> None:
        if not has_subscriber(publisher):
            return
        message = make()
        try:
            publisher.publish(message)
        except RuntimeError as error:  # RCLError: a reliable writer under back-pressure
            self._on_fault(f"{publisher.topic_name}: {error}")

    def _age_ms(self, frame: Frame) -> float:
        if frame.stamp_ns == 0:
            return 0.0
        return (self._node.get_clock().now().nanoseconds - frame.stamp_ns) / 1e6
