"""The ROS 2 node: images in, instance and panoptic messages out, with the source's stamp and frame_id.

Threads: one for each camera receives its images, one the `~/segment` requests; the executor's answer the
other services; one worker thread runs the model; on a GPU one publishes its results meanwhile; one for each
camera draws its debug image. Between them only the newest frame of each camera waits, and every frame without
a result is counted with its reason on /diagnostics. Every wait has a deadline: a worker that is stuck is
reported and can be left alone.

Life: __init__ declares → on_configure loads and warms up the model → on_activate subscribes → frames:
Inputs → slots → _turn: Camera.decode → _segment → (publisher:) Camera.publish → Outputs.publish →
on_deactivate unsubscribes → on_cleanup frees the model.
"""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from seg_node.export.dense_part import exported_size
from seg_node.export.open_model import ModelSource, open_model
from seg_node.images.decode import decode_message
from seg_node.inference.check_result import BadResult, check_segmentation
from seg_node.inference.device_errors import DeviceLost
from seg_node.inference.engine import Engine, OutOfMemory
from seg_node.masks.region import RegionError, clip_region, crop_frame, uncrop
from seg_node.ros.common.memory import give_back_memory, limit_memory
from seg_node.ros.messages import convert, vision
from seg_node.ros.node.bond import LifecycleBond
from seg_node.ros.node.camera import Camera, DecodedFrame
from seg_node.ros.node.diagnostics import key_values
from seg_node.ros.node.executor import guard_services
from seg_node.ros.node.faults import CallbackFaults, trace
from seg_node.ros.node.inputs import Arrival
from seg_node.ros.node.parameters import Options, declare_parameters, options_of
from seg_node.ros.node.publisher import Publisher
from seg_node.ros.node.segment_service import SegmentRequest, SegmentService
from seg_node.ros.node.slot import NewestSlots
from seg_node.ros.node.target_frame import TargetFrame
from seg_node.ros.node.transitions import Transitions
from seg_node.ros.node.warm_up import WarmUp, warm_up_model
from seg_node.ros.node.worker import Worker
from seg_node.srv import Segment
from seg_node.types import Frame, LabelSet, Segmentation, SegmentOptions

WAIT_S = 0.1
DIAGNOSTICS_PERIOD_S = 1.0
REST_CHECK_S = 0.2
LISTED_NAMES = 12
LOAD_S = 600.0  # a large checkpoint from a slow disk, and the compilation of its kernels
IDLE_S = 5.0  # for the work in hand at deactivation; then its frames are given up
STOP_S = 1.0  # the same at the end of the process, which SIGKILL would follow
PUBLISHER_S = 0.5  # for the publishing thread to end, once it is idle
# What loading and subscribing are documented to raise: logged without a traceback.
EXPECTED = (ValueError, OSError, RuntimeError, ImportError, NameValidationException, ParameterException)


class SegNode(LifecycleNode):
    """Subscribes `image`, publishes `~/instances`, `~/panoptic`, `~/debug_image` and more (README)."""

    def __init__(self, node_name: str = "seg_node", **kwargs: Any) -> None:
        """kwargs go to rclpy's node (namespace, parameter_overrides, context …)."""
        super().__init__(node_name, **kwargs)
        self.faults = CallbackFaults(self.get_logger())
        self._engine: Engine | None = None
        self._worker: Worker | None = None
        self._publisher: Publisher | None = None  # on a GPU; else the worker publishes
        self.device_lost: DeviceLost | None = None  # then nothing is served: the process must end
        self._slots: NewestSlots[Arrival] = NewestSlots()
        self._stream_owed_s = 0.0
        self._enabled, self._active = True, False
        self._target: TargetFrame | None = None
        self._bond: LifecycleBond | None = None
        self._options = declare_parameters(self, self._check)
        self.add_post_set_parameters_callback(self._take_options)
        self._cameras = {name: Camera(self, name) for name in self._options.cameras}
        self._warm_up = WarmUp(self._cameras)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # A steady clock: with use_sim_time a stopped simulation must still be reported. A group of its own:
        # a model that loads, or a service that waits, must not silence it.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        group = MutuallyExclusiveCallbackGroup()
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._report, clock=self._steady, callback_group=group)
        self.create_timer(REST_CHECK_S, self._rest_or_wake, clock=self._steady)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/reset_tracks", self._on_reset_tracks)
        self._transitions = Transitions(self)
        guard_services(self, self.faults.caught)
        self._requests = SegmentService(self, self._no_model, self._slots.wake, self.faults.caught)

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Configure and activate, as far as no client has; False (and a log line) when that fails."""
        with self._transitions.exclusive(LOAD_S) as alone:  # a client's transition may be under way
            if not alone:
                return False
            if self._state() == "unconfigured":
                self.trigger_configure()
            if self._state() == "inactive":
                self.trigger_activate()
            if self._state() != "active":
                self.get_logger().error(f"not started: the node is {self._state()}")
            return self._state() == "active"

    def _state(self) -> str:
        return str(self._state_machine.current_state[1])

    @property
    def autostart(self) -> bool:
        return self._options.autostart

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("configure", self._configure, self._release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("activate", self._subscribe, lambda: self._stop(IDLE_S))

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("deactivate", lambda: self._stop(IDLE_S))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("clean up", self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("shut down", self._shut_down)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("recover", self._shut_down)

    def destroy_node(self) -> None:
        with self._transitions.exclusive(STOP_S) as alone:
            if alone:  # else a model is loading: the process ends without it
                self._stop(STOP_S)
                self._release()
            if self._worker is not None:
                self._worker.close(STOP_S)
            self._requests.close()
            super().destroy_node()

    def _attempt(
        self, what: str, act: Callable[[], object], undo: Callable[[], object] | None = None
    ) -> TransitionCallbackReturn:
        """Run a transition; when it fails it is undone, logged, and can be tried again."""
        try:
            act()
        except BaseException as error:
            if isinstance(error, DeviceLost):
                self._lose_device(error)
            detail = f": {error}" if isinstance(error, EXPECTED) else f"\n{trace(error)}"
            self.get_logger().error(f"cannot {what}{detail}")
            self.faults.counts["transition_failed"] += 1
            if undo is not None:
                self._attempt(f"undo what was done to {what}", undo)
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        """Load and warm up the model, create the outputs. Raises what loading raises."""
        options = self._options
        if self._worker is None or not self._worker.alive:
            self._worker = Worker(self._turn, lambda error: self.faults.caught("worker", error))
        worker = self._worker
        sizes = self._warm_up.begin()
        try:
            engine = worker.run(lambda: _load(options, sizes), LOAD_S)
        except TimeoutError:
            raise TimeoutError(f"the model was not loaded and warmed up within {LOAD_S:.0f} s") from None
        wanted = self._options_for(engine, options)
        self._target = (
            TargetFrame(self, options.target_frame, self._cameras) if options.target_frame else None
        )
        for camera in self._cameras.values():
            camera.open(engine.labels, wanted.score_threshold, self._target)
        self._bond = LifecycleBond(self) if options.bond_enabled else None
        if engine.on_gpu:  # a CPU has no time to spare beside the model
            self._publisher = Publisher(lambda error: self.faults.caught("publisher", error))
        self._engine = engine
        if not vision.installed():
            self.get_logger().info(vision.MISSING)
        self.get_logger().info(
            f"{self._model_name()} on {engine.device_name}, precision {self._precision()}"
            f"{f', engine {options.engine}' if options.engine else ''}, "
            f"things: {_listed(engine.labels.things)}, stuff: {_listed(engine.labels.stuff)}"
        )

    def _options_for(self, engine: Engine, before: Options) -> SegmentOptions:
        """Of the newest parameters; classes set while the model was loading may be none of its own."""
        try:
            return self._options.segment_options(engine.labels, engine.default_options)
        except ValueError as error:
            self.get_logger().warning(f"parameter set while the model was loading is taken back: {error}")
        self.set_parameters([Parameter("classes", value=list(before.classes))])
        return self._options.segment_options(engine.labels, engine.default_options)

    def _subscribe(self) -> None:
        topics = [
            camera.subscribe(self._options, self._slots.put, self._steady)
            for camera in self._cameras.values()
        ]
        self._active = True
        if self._bond is not None:
            self._bond.set_alive(True)
        self.get_logger().info(f"active, waiting for images on {', '.join(topics)}")

    def _stop(self, timeout_s: float) -> None:
        """Unsubscribe, wait for the frames in hand, count those that wait."""
        self._active = False
        if self._bond is not None:
            self._bond.set_alive(False)
        for camera in self._cameras.values():
            camera.unsubscribe()
        for name in self._slots.clear():
            self._cameras[name].dropped("deactivated")
        worker, publisher = self._worker, self._publisher
        if worker is None:
            return
        end = time.monotonic() + timeout_s
        busy_s = worker.busy_s
        if worker.wait_idle(timeout_s):
            with worker.working():  # no turn hands anything on meanwhile
                if publisher is None or publisher.wait_idle(max(end - time.monotonic(), 0.0)):
                    self._publish_late(last=True)
                    return
            busy_s = publisher.busy_s
        given_up = sum(camera.abandon() for camera in self._cameras.values())
        self.get_logger().error(
            f"the frame in hand has taken {busy_s():.1f} s and is no longer waited for: "
            f"{given_up} frames dropped (abandoned); clean up and configure the node for a new one"
        )

    def _shut_down(self) -> None:
        self._stop(IDLE_S)
        self._release()

    def _release(self) -> None:
        engine, self._engine = self._engine, None
        self._requests.refuse_waiting("the model is being released")
        publisher, self._publisher = self._publisher, None
        if publisher is not None:  # first: the worker may be waiting for it
            publisher.close(PUBLISHER_S)
        worker = self._worker
        idle = worker is None or worker.wait_idle(STOP_S)
        if worker is not None and not idle:  # stuck: it ends itself when it comes back
            worker.close(0.0)
            self._worker = None
        for camera in self._cameras.values():
            camera.close()
        if self._target is not None:
            self._target.close()
            self._target = None
        if self._bond is not None:
            self._bond.close()
            self._bond = None
        if engine is not None and idle and self.device_lost is None:  # a worker that is stuck holds it
            engine.close()
        give_back_memory()

    # --- the frames' way, in the worker's thread --------------------------------------------------

    def _turn(self) -> None:
        """Process the newest frames, of cameras in turn, then at most one `~/segment` request."""
        engine, worker = self._engine, self._worker
        if engine is None or worker is None or self.device_lost is not None:
            time.sleep(WAIT_S)
            return
        options = self._options
        interval_s = 1.0 / options.max_rate if options.max_rate > 0 else 0.0
        polls = [camera.next_poll_s for camera in self._cameras.values()]
        if not self._slots.wait(min([WAIT_S, *filter(None, polls)]), interval_s):
            self._stream_owed_s = 0.0
        with worker.working():
            spent_s = self._serve_stream(engine, interval_s)
            self._stream_owed_s = max(self._stream_owed_s - spent_s, 0.0) if spent_s else 0.0
            if self._stream_owed_s == 0.0:
                # However many clients there are, the stream gets as much time as they do.
                self._stream_owed_s = self._serve_request(engine)
            if self._publisher is None:
                self._publish_late()
            elif any(camera.next_poll_s for camera in self._cameras.values()):
                self._publisher.offer(self._publish_late)  # while busy, it does so after the frame in hand

    def _publish_late(self, *, last: bool = False) -> None:
        for camera in self._cameras.values():
            camera.publish_late(last=last)

    def _serve_stream(self, engine: Engine, interval_s: float) -> float:
        """Process the frames that wait; returns the seconds it took, 0 without any."""
        options = self._options
        if self._publisher is not None:
            self._publisher.wait_to_begin()
        arrivals = self._slots.take(self._batch_limit(engine, options), interval_s)
        began = time.perf_counter()
        decoded = self._decode(arrivals, options)
        self._warm_up.served(frame.camera.name for frame in decoded)
        if engine.on_gpu and not decoded:
            self._warm_up_ahead(engine, arrivals, options)
        for batch in _by_size(decoded):
            self._process(engine, batch, options)
        return time.perf_counter() - began if arrivals else 0.0

    def _serve_request(self, engine: Engine) -> float:
        """Answer the `~/segment` request that waits; returns the seconds it took, 0 without one."""
        request = self._requests.take()
        if request is None:
            return 0.0
        began = time.perf_counter()
        self._requests.finish(request, self._answer(engine, request))
        return time.perf_counter() - began

    def _batch_limit(self, engine: Engine, options: Options) -> int:
        """On the CPU one: there a batch takes as long as its frames one by one, and all would wait for it."""
        return options.max_batch or (len(self._cameras) if engine.on_gpu else 1)

    def _decode(self, arrivals: Mapping[str, Arrival], options: Options) -> list[DecodedFrame]:
        decoded = (
            self._cameras[name].decode(arrival, options, self._enabled) for name, arrival in arrivals.items()
        )
        return [frame for frame in decoded if frame is not None]

    def _process(self, engine: Engine, batch: Sequence[DecodedFrame], options: Options) -> None:
        """Frames of one size from pixels to messages; whatever is wrong with them ends here."""
        try:
            panoptic = any(decoded.outputs.panoptic_wanted() for decoded in batch)
            frames = [decoded.frame for decoded in batch]
            segmentations = self._segment(engine, frames, options, panoptic)
        except OutOfMemory as error:
            self._drop(batch, "out_of_memory", error)
        except RegionError as error:
            self._drop(batch, "roi_outside", error)
        except DeviceLost as error:
            self._drop(batch, "device_lost", error)
            self._lose_device(error)
        except BaseException as error:  # an unforeseen fault costs these frames, not the worker
            self._drop_culprit(engine, batch, options, error)
        else:
            self._hand_on(batch, segmentations, engine.labels, options)

    def _hand_on(
        self,
        batch: Sequence[DecodedFrame],
        segmentations: Sequence[Segmentation],
        labels: LabelSet,
        options: Options,
    ) -> None:
        """Publish the results: here, or beside the model's work on the next frames."""

        def publish() -> None:
            for decoded, segmentation in zip(batch, segmentations, strict=True):
                self._publish(decoded, segmentation, labels, options)

        def publish_beside() -> None:
            publish()
            self._publish_late()

        if self._publisher is None:
            publish()
        elif not self._publisher.hand_on(publish_beside):
            self._drop(batch, "abandoned", RuntimeError("the publishing thread was closed"))

    def _publish(
        self, decoded: DecodedFrame, segmentation: Segmentation, labels: LabelSet, options: Options
    ) -> None:
        try:
            check_segmentation(segmentation, labels)
            decoded.camera.publish(decoded, segmentation, options)
        except BadResult as error:
            self._drop([decoded], error.reason, error)
        except BaseException as error:
            self._drop([decoded], "failed", error, unforeseen=True)

    def _drop_culprit(
        self, engine: Engine, batch: Sequence[DecodedFrame], options: Options, error: BaseException
    ) -> None:
        """Of several cameras' frames only the one that the model fails on is dropped."""
        if len(batch) == 1:
            self._drop(batch, "failed", error, unforeseen=True)
            return
        for decoded in batch:
            self._process(engine, [decoded], options)

    def _drop(
        self,
        batch: Sequence[DecodedFrame],
        reason: str,
        error: BaseException,
        unforeseen: bool = False,
    ) -> None:
        for decoded in batch:
            decoded.camera.drop(decoded, reason, error, unforeseen)

    def _lose_device(self, error: DeviceLost) -> None:
        """Serve nothing any more: whatever comes, and any other model, would fail."""
        if self.device_lost is None:
            self.device_lost = error
            self.get_logger().fatal(f"{error}\n{trace(error)}")

    def _warm_up_ahead(self, engine: Engine, unwanted: Mapping[str, Arrival], options: Options) -> None:
        try:
            size = self._warm_up.run_ahead(engine, unwanted, options)
        except DeviceLost as error:
            self._lose_device(error)
        except BaseException as error:  # costs the first wanted frame some time
            self.faults.caught("warm-up", error)
        else:
            if size is not None:
                self.get_logger().info(f"warmed up for images of {size}")

    def _segment(
        self, engine: Engine, frames: Sequence[Frame], options: Options, panoptic: bool
    ) -> list[Segmentation]:
        """The frames, of one size, through the model; only the region of interest is processed.

        Raises OutOfMemory, RegionError.
        """
        size = frames[0].image_size
        region = clip_region(options.region(), size)
        wanted = options.segment_options(engine.labels, engine.default_options)
        cut = [crop_frame(frame, region) for frame in frames]
        found = engine.segment_batch(cut, replace(wanted, panoptic=panoptic))
        return [uncrop(segmentation, region, size) for segmentation in found]

    def _answer(self, engine: Engine, arrived: SegmentRequest) -> Segment.Response:
        """The response to a `~/segment` request; whatever is wrong with it becomes its message."""
        request, options = arrived.request, self._options
        response = Segment.Response()
        try:
            frame = decode_message(request.image, options.max_pixels)
            (found,) = self._segment(engine, [frame], options, request.panoptic)
            check_segmentation(found, engine.labels)
            response.instances = convert.to_instances(frame, found, engine.labels, options.mask_encoding)
            if found.panoptic is not None and request.panoptic:
                response.panoptic = convert.to_panoptic(frame, found, engine.labels)
            response.success = True
            return response
        except (ValueError, OutOfMemory) as error:
            return Segment.Response(message=str(error))
        except DeviceLost as error:
            self._lose_device(error)
            return Segment.Response(message=str(error))
        except BaseException as error:  # an unforeseen fault costs one answer, not the node
            self.faults.caught("~/segment", error)
            return Segment.Response(message=f"{type(error).__name__}: {error}")

    # --- services ---------------------------------------------------------------------------------

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        response.success = True
        response.message = "segmenting" if request.data else "resting: frames are counted as disabled"
        return response

    def _on_reset_tracks(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        for camera in self._cameras.values():
            camera.reset_tracks()
        response.success = True
        return response

    def _no_model(self) -> str | None:
        return "not configured: no model is loaded" if self._engine is None else None

    # --- parameters and reports -------------------------------------------------------------------

    def _check(self, options: Options) -> None:
        """Raises ValueError for class names that the loaded model does not know."""
        engine = self._engine
        if engine is not None:
            options.segment_options(engine.labels, engine.default_options)

    def _take_options(self, changes: Sequence[Parameter]) -> None:
        self._options = options_of(self)
        engine = self._engine
        if engine is not None and any(change.name == "score_threshold" for change in changes):
            wanted = self._options.segment_options(engine.labels, engine.default_options)
            for camera in self._cameras.values():
                camera.tell_threshold(wanted.score_threshold)

    def _rest_or_wake(self) -> None:
        with self._transitions.exclusive(0.0) as alone:
            if alone:
                for camera in self._cameras.values():
                    camera.rest_or_wake(self._options)

    def _report(self) -> None:
        engine = self._engine
        setup = {
            "device": engine.device_name if engine else "none",
            "model": self._model_name(),
            "precision": self._precision(),
            "engine": self._options.engine or "none",
        }
        problem, options = self._problem(), self._options
        bond = self._bond
        if bond is not None:  # withheld from a manager when the worker is stuck or dead
            bond.set_alive(self._active and problem is None)
        # With a low max_rate frames wait by design.
        stall_s = max(options.stall_timeout, 2 / options.max_rate if options.max_rate > 0 else 0.0)
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        for camera in self._cameras.values():
            message.status.append(camera.status(setup, problem, stall_s))
        message.status.append(self._status(setup["device"], problem))
        self._diagnostics.publish(message)

    def _status(self, device: str, problem: str | None) -> DiagnosticStatus:
        """Of the node beside its frames: what callbacks raised, `~/segment` requests, the work in hand."""
        worker = self._worker
        counts = {
            "callback_failed": 0,
            "transition_failed": 0,
            **self.faults.counts,
            **{f"segment.{outcome}": count for outcome, count in sorted(self._requests.counts().items())},
        }
        level, text = DiagnosticStatus.OK, "running"
        if problem or not self._requests.alive:
            level, text = DiagnosticStatus.ERROR, problem or "the thread that receives ~/segment has died"
        elif counts["callback_failed"]:
            level, text = DiagnosticStatus.WARN, f"{counts['callback_failed']} callbacks failed; see the log"
        return DiagnosticStatus(
            level=level,
            name=f"{self.get_fully_qualified_name()}: node",
            message=text,
            hardware_id=device,
            values=key_values({**counts, "work_in_hand_s": f"{worker.busy_s() if worker else 0.0:.1f}"}),
        )

    def _model_name(self) -> str:
        return self._options.model_weights or "embedded model"

    def _precision(self) -> str:
        """The precision in use, and whether it was chosen automatically."""
        used = self._engine.precision if self._engine else "none"
        return f"{used} (auto)" if self._options.precision == "auto" else used

    def _problem(self) -> str | None:
        worker, publisher = self._worker, self._publisher
        if self.device_lost is not None:
            return str(self.device_lost)
        busy_s = worker.busy_s() if worker is not None else 0.0
        if self._engine is None and busy_s:
            return f"not configured: the model has been loading for {busy_s:.0f} s"
        if worker is None or self._engine is None:
            return "not configured: no model is loaded"
        if not worker.alive:
            return "the worker thread has died: clean up and configure the node, or restart it"
        if publisher is not None and (problem := publisher.problem(self._options.stall_timeout)):
            return problem  # the worker may be waiting for it
        if busy_s > self._options.stall_timeout:
            return (
                f"stalled: the work in hand has taken {busy_s:.1f} s, more than stall_timeout; is the model "
                "stuck, or slow?"
            )
        return None


def _load(options: Options, sizes: Collection[tuple[int, int]]) -> Engine:
    """The model on its device, warmed up. Raises ValueError, OSError, RuntimeError.

    sizes: height and width of the cameras' images, as far as they are known.
    """
    source = ModelSource(
        family=options.model_family,
        weights=options.model_weights or None,
        config=options.model_config or None,
        labels=options.model_labels or None,
        device=options.device,
        precision=options.precision,
        engine=options.engine or None,
    )
    engine = open_model(source)
    options.segment_options(engine.labels, engine.default_options)  # names classes that it does not know
    if options.memory_limit > 0 or not engine.on_gpu:  # CUDA's own reservations count, too
        limit_memory(options.memory_limit)
    warm_up_model(engine, exported_size(engine), sizes, options)
    return engine


def _by_size(decoded: Sequence[DecodedFrame]) -> list[list[DecodedFrame]]:
    """One batch for each image size: another size would be padded, which changes results."""
    batches: dict[tuple[int, int], list[DecodedFrame]] = {}
    for frame in decoded:
        batches.setdefault(frame.frame.image_size, []).append(frame)
    return list(batches.values())


def _listed(names: Mapping[int, str]) -> str:
    """All names, of many the first ones and their number."""
    some = ", ".join(list(names.values())[:LISTED_NAMES])
    return f"{some}, … ({len(names)})" if len(names) > LISTED_NAMES else some or "none"


if __name__ == "__main__":
    from seg_node.ros.node.__main__ import main

    sys.exit(main())
