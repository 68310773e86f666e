# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Subscribe to the node as any other ROS program would, and keep what the report needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from seg_node.masks.encoding import decode_crop, rle_counts
from seg_node.msg import FrameTiming, InstanceMask, InstanceMaskArray, PanopticSegmentation
from seg_node.ros.common.signals import Interrupt
from seg_node.ros.messages.convert import stamp_to_ns

STAGES = ("wait", "decode", "prepare", "infer", "assemble", "publish")
# Deep enough for a second of the fastest model while the recorder is busy.
QOS = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)


@dataclass(frozen=True)
class Counts:
    """The node's own counts from /diagnostics: received = processed + dropped (+ in work)."""

    received: int
    processed: int
    dropped: dict[str, int]
    warned: dict[str, int]
    device: str
    model: str

    @property
    def in_work(self) -> int:
        return self.received - self.processed - sum(self.dropped.values())

    @staticmethod
    def read(values: dict[str, str]) -> "Counts":
        def by_reason(prefix: str) -> dict[str, int]:
            return {
                key.removeprefix(prefix): int(value)
                for key, value in values.items()
                if key.startswith(prefix)
            }

        return Counts(
            received=int(values["received"]),
            processed=int(values["processed"]),
            dropped=by_reason("dropped."),
            warned=by_reason("warned."),
            device=values["device"],
            model=values["model"],
        )


@dataclass
class FrameRecord:
    """All messages received for one processed frame.

    stage_ms: by name of STAGES. age_ms: from the image's stamp until its results were published; None until
    FrameTiming arrives. masks: COCO compressed RLE of each instance; segment_map: the panoptic map as 16 bit
    PNG; both are kept only for comparing with ground truth.
    """

    stamp_ns: int
    frame_id: str = ""
    image_size: tuple[int, int] = (0, 0)
    instances: list[dict[str, Any]] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)
    masks: list[bytes] = field(default_factory=list)
    segment_map: bytes = b""
    stage_ms: dict[str, float] = field(default_factory=dict)
    age_ms: float | None = None


class Recorder(Node):
    """Subscribes to the node's outputs on construction and receives them in `hear_until`."""

    def __init__(self, node_name: str, pictures: Path, keep_masks: bool, interrupt: Interrupt) -> None:
        """node_name: fully qualified. pictures: folder for the annotated pictures, `<stamp_ns>.jpg`."""
        super().__init__("recorder", start_parameter_services=False)
        self.frames: dict[int, FrameRecord] = {}
        self.counts: Counts | None = None
        self.reports = 0
        self._node_name = node_name
        self._interrupt = interrupt
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._folder = pictures
        self._keep_masks = keep_masks
        outputs: list[tuple[type[Any], str, Callable[[Any], None]]] = [
            (InstanceMaskArray, "instances", self._on_instances),
            (PanopticSegmentation, "panoptic", self._on_panoptic),
            (FrameTiming, "timing", self._on_timing),
            (CompressedImage, "debug_image/compressed", self._on_picture),
        ]
        self._outputs = [
            self.create_subscription(kind, f"{node_name}/{name}", callback, QOS)
            for kind, name, callback in outputs
        ]
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def hear_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Receive messages until the condition holds (True) or the time is up (False).

        Raises KeyboardInterrupt after Ctrl-C.
        """
        end = time.monotonic() + timeout_s
        while not condition():
            self._interrupt.check()
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.05)
        return True

    def hears_node(self) -> bool:
        """Return whether a publisher of every output has been discovered."""
        return all(output.get_publisher_count() for output in self._outputs)

    def processed(self) -> int:
        return sum(record.age_ms is not None for record in self.frames.values())

    def _record(self, message: Any) -> FrameRecord:
        stamp_ns = stamp_to_ns(message.header.stamp)
        record = self.frames.setdefault(stamp_ns, FrameRecord(stamp_ns))
        record.frame_id = message.header.frame_id
        return record

    def _on_instances(self, message: InstanceMaskArray) -> None:
        record = self._record(message)
        record.image_size = size = (message.height, message.width)
        record.instances = [describe_instance(instance) for instance in message.instances]
        if self._keep_masks:
            record.masks = [rle_counts(decode_crop(instance, *size), size) for instance in message.instances]

    def _on_panoptic(self, message: PanopticSegmentation) -> None:
        record = self._record(message)
        if self._keep_masks:
            record.segment_map = _encode_png(message.segment_map)
        record.segments = [
            {
                "id": segment.id,
                "class_id": segment.class_id,
                "class": segment.class_name,
                "is_thing": segment.is_thing,
                "score": round(segment.score, 4),
                "area": segment.area,
                "instance_id": segment.instance_id,
            }
            for segment in message.segments
        ]

    def _on_timing(self, message: FrameTiming) -> None:
        record = self._record(message)
        record.stage_ms = {stage: round(getattr(message, f"{stage}_ms"), 2) for stage in STAGES}
        record.age_ms = round(message.age_ms, 2)

    def _on_picture(self, message: CompressedImage) -> None:
        (self._folder / f"{stamp_to_ns(message.header.stamp)}.jpg").write_bytes(message.data)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f"{self._node_name}: frames":
                self.counts = Counts.read({pair.key: pair.value for pair in status.values})
                self.reports += 1


def _encode_png(image: Image) -> bytes:
    """Encode a mono16 image without row padding, as the node publishes it."""
    pixels = np.frombuffer(image.data, "<u2").reshape(image.height, image.width)
    return bytes(cv2.imencode(".png", pixels)[1])


def describe_instance(instance: InstanceMask) -> dict[str, Any]:
    """Describe an instance for results.json.

    box: x_min, y_min, x_max, y_max in pixels, continuous edges. area: pixels of the mask.
    """
    box = (instance.x_min, instance.y_min, instance.x_max, instance.y_max)
    return {
        "id": instance.id,
        "class_id": instance.class_id,
        "class": instance.class_name,
        "score": round(instance.score, 4),
        "box": [round(edge, 2) for edge in box],
        "area": instance.area,
    }
