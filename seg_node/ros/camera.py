"""One camera's share of the node: what it sends, what became of its frames, what is published for it."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock
from rclpy.node import Node

from seg_node.images import ImageError, decode_message
from seg_node.ros.diagnostics import FrameStatistics
from seg_node.ros.faults import Faults
from seg_node.ros.inputs import Arrival, Inputs
from seg_node.ros.late_transform import LateTransforms
from seg_node.ros.outputs import Outputs, Result
from seg_node.ros.parameters import Options
from seg_node.ros.space import NotLocated, Space, locate
from seg_node.ros.target_frame import TargetFrame
from seg_node.ros.transform_history import TransformHistory
from seg_node.track import Tracker, with_ids
from seg_node.types import Frame, LabelSet, Segmentation


@dataclass(frozen=True)
class Work:
    """A frame on its way: decoded, for this camera. milliseconds: of the steps so far."""

    camera: "Camera"
    arrival: Arrival
    frame: Frame
    milliseconds: dict[str, float]


class Camera:
    """Its topics begin with its name; the only camera of a node has none."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self._node = node
        self._prefix = f"{name}/" if name else ""
        self._statistics = FrameStatistics()
        self._faults = Faults(self._statistics, node.get_logger())
        self._tracker = Tracker()
        self._inputs: Inputs | None = None
        self._outputs: Outputs | None = None
        self._transforms: TransformHistory | None = None
        self._late: LateTransforms[Space] | None = None

    # --- life, in the executor's thread -----------------------------------------------------------

    def open(self, labels: LabelSet, score_threshold: float, target: TargetFrame | None) -> None:
        """score_threshold: told in LabelInfo. target: where objects are wanted; None: the camera's frame."""
        self._transforms, self._late = None, None
        if target is not None:
            self._transforms = target.history(self.name)
            self._late = LateTransforms(self._transforms.move)

        def on_fault(text: str) -> None:
            self._faults.warn("output_fault", text)

        self._outputs = Outputs(self._node, f"~/{self._prefix}", labels, score_threshold, on_fault)

    def tell_threshold(self, score_threshold: float) -> None:
        if self._outputs is not None:
            self._outputs.tell_threshold(score_threshold)

    def close(self) -> None:
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None

    def subscribe(
        self, options: Options, deliver: Callable[[str, Arrival], Arrival | None], steady: Clock
    ) -> str:
        """Begin to receive; `deliver` stores an arrival and gives the one it replaced. Returns the topic."""

        def take_in(arrival: Arrival) -> None:
            if deliver(self.name, arrival) is not None:
                self._statistics.dropped("replaced_by_newer")

        self._inputs = Inputs(
            self._node, self._prefix, options, self._statistics, self._faults, take_in, steady, self._saw
        )
        return self._inputs.topic

    def unsubscribe(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None

    def _saw(self, stamp_ns: int) -> None:
        """An image's stamp, in the receiver's thread."""
        if self._transforms is not None:
            self._transforms.saw(stamp_ns)

    def reset_tracks(self) -> None:
        self._tracker.reset()

    # --- one frame's way, in the worker's thread --------------------------------------------------

    def accept(self, arrival: Arrival, options: Options, enabled: bool) -> Work | None:
        """The decoded frame; None, counted, when it is not wanted or cannot be decoded."""
        assert self._outputs is not None
        if not enabled:
            self._statistics.dropped("disabled")
            return None
        if not (options.always_on or self._outputs.wanted()):
            self._statistics.dropped("no_subscriber")
            return None
        taken = time.perf_counter()
        try:
            frame = decode_message(arrival.image)
        except ImageError as error:
            self.drop(error.reason, f"{self._topic}: {error}")
            return None
        except Exception as error:  # an unforeseen fault costs this frame, not the worker
            self.drop("failed", f"{self._topic}: {type(error).__name__}: {error}")
            return None
        decoded = time.perf_counter()
        times = {"wait_ms": (taken - arrival.at) * 1e3, "decode_ms": (decoded - taken) * 1e3}
        return Work(self, arrival, frame, times)

    def panoptic_wanted(self) -> bool:
        assert self._outputs is not None
        return self._outputs.panoptic_wanted()

    def finish(self, work: Work, segmentation: Segmentation, options: Options) -> None:
        """Track, lift, publish."""
        assert self._outputs is not None
        start = time.perf_counter()
        if options.track_enabled:
            ids = self._tracker.update(
                segmentation.instances, work.frame.stamp_ns, options.track_options()
            ).ids
            segmentation = with_ids(segmentation, ids)
        tracked = time.perf_counter()
        space = self._locate(work, segmentation, options)
        lifted = time.perf_counter()
        times = {
            **work.milliseconds,
            **{f"{stage}_ms": spent for stage, spent in segmentation.stage_ms.items()},
            "track_ms": (tracked - start) * 1e3,
            "lift_ms": (lifted - tracked) * 1e3,
        }
        timing = self._outputs.publish(Result(work.frame, segmentation, space, times), options)
        self._statistics.processed(timing)

    def _locate(self, work: Work, segmentation: Segmentation, options: Options) -> Space | None:
        """The objects in metres; None when nobody asks, while TF is waited for, or, counted, if it fails."""
        assert self._outputs is not None
        inputs = self._inputs
        if not (options.depth_enabled and self._outputs.space_wanted()) or inputs is None:
            return None
        wanted = options.lift_options(keep_points=self._outputs.cloud_wanted())
        found, depth = segmentation.instances, work.arrival.depth
        try:
            space = locate(work.frame, found, depth, inputs.camera_info, wanted, self._faults.warn)
            return space if self._late is None else self._late.offer(space, time.monotonic())
        except NotLocated as error:
            self._faults.warn(error.reason, f"{inputs.topics}: {error}")
        return None

    @property
    def next_poll_s(self) -> float | None:
        """When to call `publish_late`, in seconds from now; None: there is nothing to publish."""
        return None if self._late is None else self._late.next_poll_s

    def publish_late(self, *, last: bool = False) -> None:
        """Publish objects whose transform has come meanwhile; count those that do not wait any longer.

        last: nothing waits any longer.
        """
        if self._outputs is None or self._late is None:
            return
        for outcome in self._late.poll(math.inf if last else time.monotonic()):
            if isinstance(outcome, NotLocated):
                self._faults.warn(outcome.reason, str(outcome))
                continue
            try:
                self._outputs.publish_space(outcome)
            except Exception as error:  # costs these objects, not the worker
                self._faults.warn("output_fault", f"objects: {type(error).__name__}: {error}")

    def drop(self, reason: str, text: str) -> None:
        self._faults.drop(reason, text)

    def dropped(self, reason: str) -> None:
        """A frame that gives no result by design."""
        self._statistics.dropped(reason)

    @property
    def _topic(self) -> str:
        return self._inputs.topic if self._inputs is not None else f"{self._prefix}image"

    def status(self, setup: Mapping[str, str], problem: str | None) -> DiagnosticStatus:
        camera = f" of {self.name}" if self.name else ""
        name = f"{self._node.get_fully_qualified_name()}: frames{camera}"
        if self._outputs is not None and (shared := self._outputs.shared_topic()):
            self._faults.warn(
                "second_publisher",
                f"{shared} has another publisher: another seg_node, perhaps forgotten in a terminal? "
                "Results of both arrive mixed",
            )
        return self._statistics.status(name, setup, problem)
