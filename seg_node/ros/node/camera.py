# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""One camera of the node: its inputs, its frames and their outcomes, its outputs."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock
from rclpy.node import Node

from seg_node.images.decode import ImageError, check_size, decode_message
from seg_node.prompts import same_names
from seg_node.ros.messages.camera_info import announced_size
from seg_node.ros.node.diagnostics import REPLACED, FrameStatistics
from seg_node.ros.node.faults import Faults
from seg_node.ros.node.frames_in_hand import FramesInHand
from seg_node.ros.node.inputs import AnyImage, Arrival, Inputs
from seg_node.ros.node.late_transform import LateTransforms
from seg_node.ros.node.locate import NotLocated, Space, locate
from seg_node.ros.node.options import Options
from seg_node.ros.node.outputs import Outputs, Result
from seg_node.ros.node.resting_inputs import RestingInputs
from seg_node.ros.node.target_frame import TargetFrame
from seg_node.ros.node.transform_history import TransformHistory
from seg_node.track import Tracker, with_ids
from seg_node.types import Frame, LabelSet, Segmentation


@dataclass(frozen=True)
class DecodedFrame:
    """A frame on its way, for this camera. milliseconds: of the steps so far."""

    camera: "Camera"
    arrival: Arrival
    outputs: Outputs
    frame: Frame
    milliseconds: dict[str, float]


class Camera:
    """One camera. Its topics begin with its name; the only camera of a node has no name.

    outputs: while the node is configured. image_size: height and width, once they are known.
    """

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self.image_size: tuple[int, int] | None = None
        self.outputs: Outputs | None = None
        self.newest: AnyImage | None = None  # while the node has a prompt model
        self.statistics = FrameStatistics()
        self.tracker = Tracker()
        self._tracked_labels: LabelSet | None = None
        self._node = node
        self._prefix = f"{name}/" if name else ""
        self._topic = self._topics = f"{self._prefix}image"  # the whole names once it is subscribed to
        self._faults = Faults(self.statistics, node.get_logger())
        self.in_hand = FramesInHand(self.statistics, self._faults)
        self._inputs: RestingInputs | None = None  # while the node is active
        self._warned_of_depth = False
        self._transforms: TransformHistory | None = None
        self._late: LateTransforms[Space] | None = None

    # --- life, in the executor's thread -----------------------------------------------------------

    def open(self, labels: LabelSet, score_threshold: float, target: TargetFrame | None) -> None:
        """Create the outputs.

        score_threshold: published in LabelInfo. target: frame of the objects; None: the camera's own.
        """
        self._transforms, self._late = None, None
        if target is not None:
            self._transforms = target.history(self.name)
            self._late = LateTransforms(self._transforms.move)

        def on_fault(text: str, error: BaseException) -> None:
            self._faults.warn("output_fault", f"{text}: {type(error).__name__}: {error}", unforeseen=error)

        self.outputs = Outputs(self._node, f"~/{self._prefix}", labels, score_threshold, on_fault)

    def close(self) -> None:
        outputs, self.outputs = self.outputs, None
        if outputs is not None:
            outputs.close()

    def subscribe(
        self, options: Options, deliver: Callable[[str, Arrival], Arrival | None], steady: Clock
    ) -> str:
        """Subscribe; `deliver` stores an arrival and returns the one it replaced. Returns the image topic."""
        saw = self._transforms.saw if self._transforms is not None else lambda _: None

        def take_in(arrival: Arrival) -> None:
            if options.prompt_model_weights:
                self.newest = arrival.image
            if deliver(self.name, arrival) is not None:
                self.statistics.dropped(REPLACED)

        def open_inputs() -> Inputs:
            return Inputs(
                self._node, self._prefix, options, self.statistics, self._faults, take_in, steady, saw
            )

        self._inputs = RestingInputs(open_inputs, self.statistics)
        self._topic, self._topics = self._inputs.topic, self._inputs.topics
        return self._topic

    def unsubscribe(self) -> None:
        inputs, self._inputs, self.newest = self._inputs, None, None
        if inputs is not None:
            inputs.close("deactivated")

    def rest_or_wake(self, options: Options) -> None:
        """Unsubscribe from images while nobody has watched an output for `rest_after`; subscribe again after.

        Called several times a second.
        """
        outputs, inputs = self.outputs, self._inputs
        if outputs is None:
            return
        outputs.stamp_when_time_begins()
        if inputs is None:
            return
        if not options.depth_enabled and not self._warned_of_depth and outputs.space_wanted():
            self._warned_of_depth = True
            text = "objects in metres have a subscriber, but depth is off: set depth.enabled to true"
            self._faults.warn("depth_off", text)
        # ~/segment_prompt is answered with the newest image, whoever subscribes to results
        inputs.rest_or_wake(options, outputs.wanted() or bool(options.prompt_model_weights))

    # --- one frame's way: decoded in the worker's thread, published there or in the publisher's ---

    def decode(self, arrival: Arrival, options: Options, enabled: bool) -> DecodedFrame | None:
        """Decode a frame; None, and it is counted, when it is not wanted or cannot be decoded."""
        self.in_hand.add(arrival)
        outputs = self.outputs
        if outputs is None:
            self.in_hand.unwanted(arrival, "deactivated")
            return None
        if not enabled:
            self.in_hand.unwanted(arrival, "disabled")
            return None
        if not (options.always_on or outputs.wanted()):
            self.in_hand.unwanted(arrival, "no_subscriber")
            return None
        taken = time.perf_counter()
        try:
            frame = decode_message(arrival.image, options.max_pixels)
        except Exception as error:  # costs this frame, not the worker
            self.drop(arrival, error)
            return None
        decoded = time.perf_counter()
        self.image_size = frame.image_size
        times = {"wait_ms": (taken - arrival.at) * 1e3, "decode_ms": (decoded - taken) * 1e3}
        return DecodedFrame(self, arrival, outputs, frame, times)

    def drop(self, arrival: Arrival, error: BaseException) -> None:
        """Count and log a frame that gives no result because of an error."""
        self.in_hand.failed(arrival, self._topic, error)

    def find_size(self, unwanted: Arrival | None, options: Options) -> tuple[int, int] | None:
        """Return the images' height and width before one is wanted, from an unwanted one or CameraInfo."""
        inputs = self._current_inputs
        try:
            if unwanted is not None:
                self.image_size = decode_message(unwanted.image, options.max_pixels).image_size
            elif inputs is not None and inputs.camera_info is not None:
                size = announced_size(inputs.camera_info)
                if size is not None:
                    check_size(*size, options.max_pixels)
                self.image_size = size
        except ImageError:  # reported when an image is wanted
            return None
        return self.image_size

    def publish(self, decoded: DecodedFrame, segmentation: Segmentation, options: Options) -> None:
        """Track the instances, locate them in space, and publish."""
        start = time.perf_counter()
        if decoded.arrival not in self.in_hand:  # abandoned meanwhile
            return
        self._renumber_tracks(segmentation.labels)
        if options.track_enabled:
            ids = self.tracker.update(
                segmentation.instances, decoded.frame.stamp_ns, options.track_options()
            ).ids
            segmentation = with_ids(segmentation, ids)
        tracked = time.perf_counter()
        space = self._locate(decoded, segmentation, options)
        lifted = time.perf_counter()
        times = {
            **decoded.milliseconds,
            **{f"{stage}_ms": spent for stage, spent in segmentation.stage_ms.items()},
            "track_ms": (tracked - start) * 1e3,
            "lift_ms": (lifted - tracked) * 1e3,
        }
        timing = decoded.outputs.publish(Result(decoded.frame, segmentation, space, times), options)
        self.in_hand.processed(decoded.arrival, timing)

    def announce_labels(self, labels: LabelSet) -> None:
        """Publish the names of the classes, if they have changed."""
        outputs = self.outputs
        if outputs is not None:
            outputs.announce_labels(labels)

    def _renumber_tracks(self, labels: LabelSet | None) -> None:
        """Keep the ids of objects whose prompt is still in the list, perhaps at another place."""
        before, self._tracked_labels = self._tracked_labels, labels
        if before is not None and labels is not None and before != labels:
            self.tracker.renumber(same_names(before, labels))

    def _locate(self, decoded: DecodedFrame, segmentation: Segmentation, options: Options) -> Space | None:
        """Locate the objects; None without subscribers, while TF is awaited, and (counted) when it fails."""
        arrival = decoded.arrival
        if not (options.depth_enabled and decoded.outputs.space_wanted()):
            return None
        wanted = options.lift_options(keep_points=decoded.outputs.cloud_wanted())
        try:
            space = locate(
                decoded.frame,
                segmentation.instances,
                arrival.depth,
                arrival.calibration(),
                wanted,
                self._faults.warn,
                max_pixels=options.max_pixels,
                unit_m=options.depth_unit,
            )
            space = replace(space, labels=segmentation.labels)
            return space if self._late is None else self._late.offer(space, time.monotonic())
        except NotLocated as error:
            text = f"{self._topics}: {error}"
            self._faults.warn(error.reason, text, unforeseen=error.unforeseen_cause)
        return None

    @property
    def next_poll_s(self) -> float | None:
        """Seconds until `publish_late` should be called; None: there is nothing to publish."""
        return None if self._late is None else self._late.next_poll_s

    def publish_late(self, *, last: bool = False) -> None:
        """Publish objects whose transform has come; count those that have waited too long.

        last: end the waiting of all.
        """
        outputs = self.outputs
        if outputs is None or self._late is None:
            return
        for outcome in self._late.poll(math.inf if last else time.monotonic()):
            if isinstance(outcome, NotLocated):
                self._faults.warn(outcome.reason, str(outcome), unforeseen=outcome.unforeseen_cause)
            else:
                outputs.publish_space(outcome)

    # --- reports ----------------------------------------------------------------------------------

    @property
    def _current_inputs(self) -> Inputs | None:
        """None while the node is not active, or rests."""
        return None if self._inputs is None else self._inputs.current

    def status(
        self, setup: Mapping[str, str], problem: str | None, stall_timeout_s: float
    ) -> DiagnosticStatus:
        camera = f" of {self.name}" if self.name else ""
        name = f"{self._node.get_fully_qualified_name()}: frames{camera}"
        outputs = self.outputs
        if outputs is not None and (shared := outputs.shared_topic()):
            self._faults.warn(
                "second_publisher",
                f"{shared} has another publisher: another seg_node, perhaps forgotten in a terminal? "
                "Results of both arrive mixed",
            )
        problem = problem or self._dead_thread()
        inputs = self._inputs
        resting = inputs is not None and inputs.current is None
        return self.statistics.status(name, setup, problem, stall_timeout_s, resting)

    def _dead_thread(self) -> str | None:
        inputs, outputs = self._current_inputs, self.outputs
        if inputs is not None and not inputs.alive:
            return "the receiving thread has died: deactivate and activate the node, or restart it"
        if outputs is not None and not outputs.alive:
            return "the debug image's thread has died: clean up and configure the node, or restart it"
        return None
