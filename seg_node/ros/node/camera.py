"""One camera's share of the node: what it sends, what became of its frames, what is published for it."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock
from rclpy.node import Node

from seg_node.images.decode import ImageError, check_size, decode_message
from seg_node.ros.messages.camera_info import announced_size
from seg_node.ros.node.diagnostics import REPLACED, FrameStatistics
from seg_node.ros.node.faults import Faults
from seg_node.ros.node.inputs import Arrival, Inputs
from seg_node.ros.node.late_transform import LateTransforms
from seg_node.ros.node.locate import NotLocated, Space, locate
from seg_node.ros.node.outputs import Outputs, Result
from seg_node.ros.node.parameters import Options
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
    """Its topics begin with its name; the only camera of a node has none."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self.image_size: tuple[int, int] | None = None  # height and width, once they are known
        self._node = node
        self._prefix = f"{name}/" if name else ""
        self._statistics = FrameStatistics()
        self._faults = Faults(self._statistics, node.get_logger())
        self._tracker = Tracker()
        self._inputs: Inputs | None = None
        self._open_inputs: Callable[[], Inputs] | None = None  # while the node is active
        self._unwatched_since: float | None = None
        self._warned_of_depth = False
        self._outputs: Outputs | None = None
        self._transforms: TransformHistory | None = None
        self._late: LateTransforms[Space] | None = None
        # Frames in the worker's hands, whose outcome is open. Each is counted once: by the worker, or when
        # the node stops waiting for a worker that is stuck.
        self._open: set[Arrival] = set()
        self._lock = threading.Lock()

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

        self._outputs = Outputs(self._node, f"~/{self._prefix}", labels, score_threshold, on_fault)

    def tell_threshold(self, score_threshold: float) -> None:
        if self._outputs is not None:
            self._outputs.tell_threshold(score_threshold)

    def close(self) -> None:
        outputs, self._outputs = self._outputs, None
        if outputs is not None:
            outputs.close()

    def subscribe(
        self, options: Options, deliver: Callable[[str, Arrival], Arrival | None], steady: Clock
    ) -> str:
        """Begin to receive; `deliver` stores an arrival and gives the one it replaced. Returns the topic."""

        def take_in(arrival: Arrival) -> None:
            if deliver(self.name, arrival) is not None:
                self._statistics.dropped(REPLACED)

        def open_inputs() -> Inputs:
            return Inputs(
                self._node, self._prefix, options, self._statistics, self._faults, take_in, steady, self._saw
            )

        self._inputs = open_inputs()
        self._open_inputs = open_inputs
        self._unwatched_since = None
        return self._inputs.topic

    def unsubscribe(self) -> None:
        self._open_inputs = None
        self._close_inputs("deactivated")

    def _close_inputs(self, reason: str) -> None:
        inputs, self._inputs = self._inputs, None
        if inputs is not None:
            for _ in range(inputs.close()):
                self.dropped(reason)

    def rest_or_wake(self, options: Options) -> None:
        """Unsubscribe from images while nobody has watched an output for `rest_after`; subscribe again after.

        Called several times a second. Only while the node is active is there anything to unsubscribe from.
        """
        outputs = self._outputs
        if outputs is None:
            return
        outputs.stamp_when_time_begins()
        if self._open_inputs is None:
            return
        if not options.depth_enabled and not self._warned_of_depth and outputs.space_wanted():
            self._warned_of_depth = True
            text = "objects in metres have a subscriber, but depth is off: set depth.enabled to true"
            self._faults.warn("depth_off", text)
        if options.always_on or options.rest_after == 0 or outputs.wanted():
            self._unwatched_since = None
            if self._inputs is None:
                self._inputs = self._open_inputs()
            return
        now = time.monotonic()
        self._unwatched_since = self._unwatched_since or now
        if self._inputs is not None and now - self._unwatched_since >= options.rest_after:
            self._close_inputs("no_subscriber")

    @property
    def _resting(self) -> bool:
        return self._open_inputs is not None and self._inputs is None

    def abandon(self) -> int:
        """Count the frames in the worker's hands as dropped: it is stuck. Returns how many."""
        with self._lock:
            abandoned, self._open = len(self._open), set()
        for _ in range(abandoned):
            self._statistics.dropped("abandoned", bad=True)
        return abandoned

    def _saw(self, stamp_ns: int) -> None:
        """An image's stamp, in the receiver's thread."""
        if self._transforms is not None:
            self._transforms.saw(stamp_ns)

    def reset_tracks(self) -> None:
        self._tracker.reset()

    # --- one frame's way: decoded in the worker's thread, published there or in the publisher's ---

    def decode(self, arrival: Arrival, options: Options, enabled: bool) -> DecodedFrame | None:
        """The decoded frame; None, counted, when it is not wanted or cannot be decoded."""
        with self._lock:
            self._open.add(arrival)
        outputs = self._outputs
        if outputs is None:
            self._end(arrival, "deactivated")
            return None
        if not enabled:
            self._end(arrival, "disabled")
            return None
        if not (options.always_on or outputs.wanted()):
            self._end(arrival, "no_subscriber")
            return None
        taken = time.perf_counter()
        try:
            frame = decode_message(arrival.image, options.max_pixels)
        except ImageError as error:
            self._fail(arrival, error.reason, f"{self._topic}: {error}")
            return None
        except Exception as error:  # an unforeseen fault costs this frame, not the worker
            self._fail(arrival, "failed", f"{self._topic}: {type(error).__name__}: {error}", error)
            return None
        decoded = time.perf_counter()
        self.image_size = frame.image_size
        times = {"wait_ms": (taken - arrival.at) * 1e3, "decode_ms": (decoded - taken) * 1e3}
        return DecodedFrame(self, arrival, outputs, frame, times)

    def panoptic_wanted(self) -> bool:
        return self._outputs is not None and self._outputs.panoptic_wanted()

    def find_size(self, unwanted: Arrival | None, options: Options) -> tuple[int, int] | None:
        """The images' height and width, before one is wanted: of an unwanted one, or as CameraInfo has it."""
        inputs = self._inputs
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
        """Track, lift, publish."""
        start = time.perf_counter()
        with self._lock:
            if decoded.arrival not in self._open:  # abandoned meanwhile
                return
        if options.track_enabled:
            ids = self._tracker.update(
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
        if self._close(decoded.arrival):
            self._statistics.processed(timing)

    def _locate(self, decoded: DecodedFrame, segmentation: Segmentation, options: Options) -> Space | None:
        """The objects in metres; None when nobody asks, while TF is waited for, or, counted, if it fails."""
        inputs = self._inputs
        if not (options.depth_enabled and decoded.outputs.space_wanted()) or inputs is None:
            return None
        wanted = options.lift_options(keep_points=decoded.outputs.cloud_wanted())
        found, depth = segmentation.instances, decoded.arrival.depth
        try:
            space = locate(
                decoded.frame,
                found,
                depth,
                inputs.camera_info,
                wanted,
                self._faults.warn,
                max_pixels=options.max_pixels,
                unit_m=options.depth_unit,
            )
            return space if self._late is None else self._late.offer(space, time.monotonic())
        except NotLocated as error:
            text = f"{inputs.topics}: {error}"
            self._faults.warn(error.reason, text, unforeseen=error.unforeseen_cause)
        return None

    @property
    def next_poll_s(self) -> float | None:
        """When to call `publish_late`, in seconds from now; None: there is nothing to publish."""
        return None if self._late is None else self._late.next_poll_s

    def publish_late(self, *, last: bool = False) -> None:
        """Publish objects whose transform has come meanwhile; count those that do not wait any longer.

        last: nothing waits any longer.
        """
        outputs = self._outputs
        if outputs is None or self._late is None:
            return
        for outcome in self._late.poll(math.inf if last else time.monotonic()):
            if isinstance(outcome, NotLocated):
                self._faults.warn(outcome.reason, str(outcome), unforeseen=outcome.unforeseen_cause)
            else:
                outputs.publish_space(outcome)

    def drop(
        self, decoded: DecodedFrame, reason: str, error: BaseException, unforeseen: bool = False
    ) -> None:
        """Count a decoded frame that gives no result, and log why."""
        text = f"{self._topic}: {type(error).__name__}: {error}" if unforeseen else str(error)
        self._fail(decoded.arrival, reason, text, error if unforeseen else None)

    def dropped(self, reason: str) -> None:
        """Count a frame that was never decoded and gives no result by design."""
        self._statistics.dropped(reason)

    def _fail(
        self, arrival: Arrival, reason: str, text: str, unforeseen: BaseException | None = None
    ) -> None:
        if self._close(arrival):
            self._faults.drop(reason, text, unforeseen)

    def _end(self, arrival: Arrival, reason: str) -> None:
        """A frame in the worker's hands gives no result by design."""
        if self._close(arrival):
            self._statistics.dropped(reason)

    def _close(self, arrival: Arrival) -> bool:
        """Whether the frame's outcome was still open; it is the caller's to count."""
        with self._lock:
            if arrival not in self._open:
                return False
            self._open.remove(arrival)
            return True

    @property
    def _topic(self) -> str:
        inputs = self._inputs
        return inputs.topic if inputs is not None else f"{self._prefix}image"

    # --- reports ----------------------------------------------------------------------------------

    def status(
        self, setup: Mapping[str, str], problem: str | None, stall_timeout_s: float
    ) -> DiagnosticStatus:
        camera = f" of {self.name}" if self.name else ""
        name = f"{self._node.get_fully_qualified_name()}: frames{camera}"
        outputs = self._outputs
        if outputs is not None and (shared := outputs.shared_topic()):
            self._faults.warn(
                "second_publisher",
                f"{shared} has another publisher: another seg_node, perhaps forgotten in a terminal? "
                "Results of both arrive mixed",
            )
        problem = problem or self._dead_thread()
        return self._statistics.status(name, setup, problem, stall_timeout_s, self._resting)

    def _dead_thread(self) -> str | None:
        inputs, outputs = self._inputs, self._outputs
        if inputs is not None and not inputs.alive:
            return "the receiving thread has died: deactivate and activate the node, or restart it"
        if outputs is not None and not outputs.alive:
            return "the debug image's thread has died: clean up and configure the node, or restart it"
        return None
