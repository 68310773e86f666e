# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: images in, instance and panoptic messages out, with the source's stamp and frame_id.

Threads: one for each camera receives its images, one the `~/segment` requests; the executor's answer the
other services; one worker thread runs the model; on a GPU one publishes its results meanwhile; one for each
camera draws its debug image. Between them only the newest frame of each camera waits, and every frame without
a result is counted with its reason on /diagnostics. Every wait has a deadline: a worker that is stuck is
reported and can be left alone.

Life: __init__ declares → on_configure loads and warms up the model → on_activate subscribes → frames:
Inputs → slots → _turn: FramePath: Camera.decode → segment_frames → (publisher:) Camera.publish →
Outputs.publish → on_deactivate unsubscribes → on_cleanup frees the model.
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from seg_node.export.dense_part import exported_size
from seg_node.export.open_model import ModelSource, open_model
from seg_node.inference.device_errors import DeviceLost
from seg_node.inference.engine import Engine
from seg_node.prompts import result_labels
from seg_node.ros.common.memory import give_back_memory, limit_memory
from seg_node.ros.messages import video, vision
from seg_node.ros.node.bond import LifecycleBond
from seg_node.ros.node.camera import Camera
from seg_node.ros.node.declare_parameters import declare_parameters, options_of
from seg_node.ros.node.executor import guard_services
from seg_node.ros.node.faults import CallbackFaults, trace
from seg_node.ros.node.frame_path import FramePath
from seg_node.ros.node.inputs import Arrival
from seg_node.ros.node.options import Options
from seg_node.ros.node.publisher import Publisher
from seg_node.ros.node.report import (
    NO_CLOCK,
    find_problem,
    loaded_line,
    model_setup,
    node_status,
    stall_timeout_s,
)
from seg_node.ros.node.segment import check_options
from seg_node.ros.node.segment_service import SegmentService
from seg_node.ros.node.slot import NewestSlots
from seg_node.ros.node.target_frame import TargetFrame
from seg_node.ros.node.transitions import Transitions
from seg_node.ros.node.warm_up import WarmUp, warm_up_model
from seg_node.ros.node.worker import Worker
from seg_node.types import SegmentOptions

if TYPE_CHECKING:
    from seg_node.ros.node.prompt_service import PromptService

WAIT_S = 0.1
DIAGNOSTICS_PERIOD_S = 1.0
REST_CHECK_S = 0.2
REPORTS_FOR_CLOCK = 5  # without /clock, before it is missed
LOAD_S = 600.0  # a large checkpoint from a slow disk, and the compilation of its kernels
IDLE_S = 5.0  # for the work in hand at deactivation; then its frames are given up
STOP_S = 1.0  # the same at the end of the process, which SIGKILL would follow
PUBLISHER_S = 0.5  # for the publishing thread to end, once it is idle
# What loading and subscribing are documented to raise: logged without a traceback.
EXPECTED = (ValueError, OSError, RuntimeError, ImportError, NameValidationException, ParameterException)


class SegNode(LifecycleNode):
    """Subscribes `image`, publishes `~/instances`, `~/panoptic` and more (docs/topics.md)."""

    def __init__(self, node_name: str = "seg_node", **kwargs: Any) -> None:
        """kwargs go to rclpy's node (namespace, parameter_overrides, context …)."""
        super().__init__(node_name, **kwargs)
        self.faults = CallbackFaults(self.get_logger())
        self._path: FramePath | None = None  # while a model is loaded
        self._worker: Worker | None = None
        self._slots: NewestSlots[Arrival] = NewestSlots()
        self._enabled, self._active = True, False
        self._target: TargetFrame | None = None
        self._bond: LifecycleBond | None = None
        self._reports_without_time = 0
        self._options = declare_parameters(self, self._check)
        self.add_post_set_parameters_callback(self._take_options)
        self._cameras = {name: Camera(self, name) for name in self._options.cameras}
        self._warm_up = WarmUp(self._cameras, self.faults, self.get_logger())
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
        self._prompted = self._open_prompt_service() if self._options.prompt_model_weights else None

    def _open_prompt_service(self) -> "PromptService":
        from seg_node.ros.node.prompt_service import PromptService  # here: others pay nothing for it

        return PromptService(self, self._cameras, self._no_model, self._slots.wake, self.faults.caught)

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Configure and activate, unless a client already has; returns False, and logs, when that fails."""
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

    @property
    def device_lost(self) -> DeviceLost | None:
        """The error, once nothing is served any more and the process must end."""
        return self.faults.device_lost

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
            for service in self._request_services():
                service.close()
            super().destroy_node()
            # rclpy keeps its transition services, and these the DDS participant with its shared memory.
            del self._state_machine

    def _attempt(
        self, what: str, act: Callable[[], object], undo: Callable[[], object] | None = None
    ) -> TransitionCallbackReturn:
        """Run a transition; a failed one is logged and undone, and can be tried again."""
        try:
            act()
        except BaseException as error:
            if isinstance(error, DeviceLost):
                self.faults.lose_device(error)
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
        video.check_installed(options.image_transport)
        if self._worker is None or not self._worker.alive:
            self._worker = Worker(self._turn, lambda error: self.faults.caught("worker", error))
        worker = self._worker
        sizes = self._warm_up.begin()
        try:
            engine = worker.run(lambda: _load(options, sizes, self._prompted), LOAD_S)
        except TimeoutError:
            raise TimeoutError(f"the model was not loaded and warmed up within {LOAD_S:.0f} s") from None
        wanted = self._options_for(engine, options)
        self._target = (
            TargetFrame(self, options.target_frame, self._cameras) if options.target_frame else None
        )
        for camera in self._cameras.values():
            camera.open(result_labels(wanted, engine.labels), wanted.score_threshold, self._target)
        self._bond = LifecycleBond(self) if options.bond_enabled else None
        publisher = None
        if engine.on_gpu:  # a CPU has no time to spare beside the model
            publisher = Publisher(lambda error: self.faults.caught("publisher", error))
        self._path = FramePath(
            engine,
            publisher,
            self._cameras,
            self._slots,
            self._requests,
            self._warm_up,
            self.faults,
            self._prompted,
        )
        if not vision.installed():
            self.get_logger().info(vision.MISSING)
        self.get_logger().info(loaded_line(self._options, engine))

    def _options_for(self, engine: Engine, before: Options) -> SegmentOptions:
        """Return the newest options; classes and prompts set while the model was loading may not fit it."""
        try:
            return check_options(engine, self._options)
        except ValueError as error:
            self.get_logger().warning(f"parameter set while the model was loading is taken back: {error}")
        names = {"classes": before.classes, "prompts": before.prompts}
        self.set_parameters_atomically([Parameter(name, value=list(names[name])) for name in names])
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
        """Unsubscribe, count the frames that wait, and wait for those in hand."""
        self._active = False
        if self._bond is not None:
            self._bond.set_alive(False)
        for camera in self._cameras.values():
            camera.unsubscribe()
        for name in self._slots.clear():
            self._cameras[name].statistics.dropped("deactivated")
        worker, publisher = self._worker, self._path.publisher if self._path else None
        if worker is None:
            return
        end = time.monotonic() + timeout_s
        busy_s = worker.busy_s
        if worker.wait_idle(timeout_s):
            with worker.working():  # no turn hands anything on meanwhile
                if publisher is None or publisher.wait_idle(max(end - time.monotonic(), 0.0)):
                    for camera in self._cameras.values():
                        camera.publish_late(last=True)
                    return
            busy_s = publisher.busy_s
        given_up = sum(camera.in_hand.abandon() for camera in self._cameras.values())
        self.get_logger().error(
            f"the frame in hand has taken {busy_s():.1f} s and is no longer waited for: "
            f"{given_up} frames dropped (abandoned); clean up and configure the node for a new one"
        )

    def _shut_down(self) -> None:
        self._stop(IDLE_S)
        self._release()

    def _release(self) -> None:
        path, self._path = self._path, None
        self._requests.refuse_waiting("the model is being released")
        if self._prompted is not None:
            self._prompted.release()
        if path is not None and path.publisher is not None:  # first: the worker may be waiting for it
            path.publisher.close(PUBLISHER_S)
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
        if path is not None and idle and self.device_lost is None:  # a worker that is stuck holds it
            path.engine.close()
        give_back_memory()

    def _turn(self) -> None:
        """Serve the newest frames, then at most one `~/segment` request; called again and again."""
        path, worker = self._path, self._worker
        if path is None or worker is None or self.device_lost is not None:
            time.sleep(WAIT_S)
            return
        path.wait(self._options)
        with worker.working():
            path.announce_labels(self._options)
            path.serve_frames(self._options, self._enabled)
            path.serve_request(self._options)
            path.publish_late()

    # --- services ---------------------------------------------------------------------------------

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        response.success = True
        response.message = "segmenting" if request.data else "resting: frames are counted as disabled"
        return response

    def _on_reset_tracks(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        for camera in self._cameras.values():
            camera.tracker.reset()
        response.success = True
        return response

    def _request_services(self) -> list[SegmentService]:
        return [self._requests, *([self._prompted.requests] if self._prompted is not None else [])]

    def _no_model(self) -> str | None:
        return "not configured: no model is loaded" if self._path is None else None

    # --- parameters and reports -------------------------------------------------------------------

    def _check(self, options: Options) -> None:
        """Raise ValueError for classes and prompts that the loaded model does not take."""
        path = self._path
        if path is not None:
            check_options(path.engine, options)

    def _take_options(self, changes: Sequence[Parameter]) -> None:
        self._options = options_of(self)
        path = self._path
        if path is not None and any(change.name == "score_threshold" for change in changes):
            wanted = self._options.segment_options(path.engine.labels, path.engine.default_options)
            for outputs in [camera.outputs for camera in self._cameras.values()]:
                if outputs is not None:
                    outputs.publish_label_info(wanted.score_threshold)

    def _rest_or_wake(self) -> None:
        with self._transitions.exclusive(0.0) as alone:
            if alone:
                for camera in self._cameras.values():
                    camera.rest_or_wake(self._options)

    def _report(self) -> None:
        path, options, bond = self._path, self._options, self._bond
        setup = model_setup(options, path.engine if path else None)
        problem = find_problem(options, self._worker, path, self.faults)
        if bond is not None:  # withheld from a manager when the worker is stuck or dead
            bond.set_alive(self._active and problem is None)
        now = self.get_clock().now()
        message = DiagnosticArray()
        message.header.stamp = now.to_msg()
        for camera in self._cameras.values():
            message.status.append(camera.status(setup, problem, stall_timeout_s(options)))
        name = self.get_fully_qualified_name()
        has_time = now.nanoseconds != 0
        status = node_status(
            name, setup["device"], problem, self.faults, self._request_services(), self._worker, has_time
        )
        message.status.append(status)
        self._diagnostics.publish(message)
        self._reports_without_time = 0 if has_time else self._reports_without_time + 1
        if self._reports_without_time == REPORTS_FOR_CLOCK:
            self.get_logger().warning(NO_CLOCK)


def _load(options: Options, sizes: Collection[tuple[int, int]], prompted: "PromptService | None") -> Engine:
    """The model on its device, warmed up. Raises ValueError, OSError, RuntimeError.

    sizes: height and width of the cameras' images, as far as they are known. prompted: gets its model, too.
    """
    if prompted is not None:  # before the memory limit, which is beyond the models
        prompted.load(options)
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
    check_options(engine, options)
    if options.memory_limit > 0 or not engine.on_gpu:  # CUDA's own reservations count, too
        limit_memory(options.memory_limit)
    warm_up_model(engine, exported_size(engine), sizes, options)
    return engine
