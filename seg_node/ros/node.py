"""The ROS 2 node: images in, instance and panoptic messages out, each with the source's stamp and frame_id.

Threads: one a camera receives its images; the executor's answer services; one worker thread runs the model;
one a camera draws its debug image. Between them only the newest frame of each camera waits, and every frame
that gives no result is counted with its reason on /diagnostics.

Life: __init__ declares → on_configure loads and warms up the model → on_activate subscribes → frames:
Inputs → slots → _work: Camera.accept → _segment → Camera.finish → Outputs.publish → on_deactivate stops →
on_cleanup frees the model.
"""

import argparse
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent import futures
from dataclasses import replace
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from std_srvs.srv import SetBool, Trigger

from seg_node.engine import Engine, OutOfMemory, choose_device
from seg_node.exported import exported_size, open_engine
from seg_node.images import ImageError, decode_message
from seg_node.models.load import load_model
from seg_node.region import RegionError, clip_region, cut_out, put_back
from seg_node.ros import convert, memory, vision
from seg_node.ros.camera import Camera, Work
from seg_node.ros.inputs import Arrival
from seg_node.ros.interrupt import Interrupt
from seg_node.ros.log import pass_on_core_log
from seg_node.ros.parameters import Options, declare_parameters, options_of
from seg_node.ros.slot import NewestSlots
from seg_node.ros.target_frame import TargetFrame
from seg_node.srv import Segment
from seg_node.types import Frame, Segmentation

WAIT_S = 0.1
SIGNAL_CHECK_S = 0.2
DIAGNOSTICS_PERIOD_S = 1.0
LISTED_NAMES = 12
WARM_UP_SIZE = (480, 640)


class SegNode(LifecycleNode):
    """Subscribes `image`, publishes `~/instances`, `~/panoptic`, `~/debug_image` and more (README)."""

    def __init__(self, node_name: str = "seg_node", **kwargs: Any) -> None:
        """kwargs go to rclpy's node (namespace, parameter_overrides, context …)."""
        super().__init__(node_name, **kwargs)
        self._engine: Engine | None = None
        # One thread for warm-up and frames: PyTorch keeps its helpers and plans for each thread anew.
        self._worker = futures.ThreadPoolExecutor(1, "worker")
        self._working: futures.Future[None] | None = None
        self._slots: NewestSlots[Arrival] = NewestSlots()
        self._stopping = threading.Event()
        self._enabled = True
        self._target: TargetFrame | None = None
        self._options = declare_parameters(self, self._check)
        self.add_post_set_parameters_callback(self._take_options)
        self._cameras = {name: Camera(self, name) for name in self._options.cameras}
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # A steady clock: with use_sim_time a stopped simulation must still be reported.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._report, clock=self._steady)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/reset_tracks", self._on_reset_tracks)
        # A thread of its own in a multi-threaded executor: it waits for the model.
        own = MutuallyExclusiveCallbackGroup()
        self.create_service(Segment, "~/segment", self._on_segment, callback_group=own)

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Configure and activate; False (and a log line) when the model cannot be loaded."""
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    @property
    def autostart(self) -> bool:
        return self._options.autostart

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        options = self._options
        try:
            model = load_model(
                options.model_family,
                options.model_weights or None,
                options.model_config or None,
                options.model_labels or None,
            )
            wanted = options.segment_options(model.labels, model.default_options)
            device = choose_device(options.device)
            engine = open_engine(model, device, options.precision, options.engine or None)
            self._worker.submit(engine.warm_up, exported_size(model) or WARM_UP_SIZE).result()
            self._target = (
                TargetFrame(self, options.target_frame, self._cameras) if options.target_frame else None
            )
        except (ValueError, OSError, RuntimeError) as error:
            self.get_logger().error(f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self._engine = engine
        for camera in self._cameras.values():
            camera.open(model.labels, wanted.score_threshold, self._target)
        if not vision.installed():
            self.get_logger().info(vision.MISSING)
        self.get_logger().info(
            f"{self._model_name()} on {engine.device_name}, precision {self._precision()}"
            f"{f', engine {options.engine}' if options.engine else ''}, "
            f"things: {_listed(model.labels.things)}, stuff: {_listed(model.labels.stuff)}"
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stopping.clear()
        self._working = self._worker.submit(self._work)
        topics = [
            camera.subscribe(self._options, self._slots.put, self._steady)
            for camera in self._cameras.values()
        ]
        self.get_logger().info(f"active, waiting for images on {', '.join(topics)}")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        self._stop()
        self._release()
        self._worker.shutdown()
        super().destroy_node()

    def _stop(self) -> None:
        """Unsubscribe, let the worker finish its frames, count those that wait."""
        for camera in self._cameras.values():
            camera.unsubscribe()
        if self._working is not None:
            self._stopping.set()
            futures.wait([self._working])
            self._working = None
        for name in self._slots.clear():
            self._cameras[name].dropped("deactivated")

    def _release(self) -> None:
        for camera in self._cameras.values():
            camera.close()
        if self._target is not None:
            self._target.close()
            self._target = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    # --- the frames' way, in the worker's thread --------------------------------------------------

    def _work(self) -> None:
        """Until the node stops: take the newest frames, of cameras in turn, and process them."""
        while not self._stopping.is_set():
            polls = [camera.next_poll_s for camera in self._cameras.values()]
            wait_s = min([WAIT_S, *(poll_s for poll_s in polls if poll_s is not None)])
            arrivals = self._slots.take(self._batch_limit(self._options), wait_s)
            options = self._options  # as they are when a frame is there, not when it was waited for
            if options.max_rate > 0:
                for name in arrivals:
                    self._slots.hold(name, 1.0 / options.max_rate)
            for batch in _by_size(self._accept(arrivals, options)):
                self._process(batch, options)
            self._publish_late()
        self._publish_late(last=True)

    def _publish_late(self, *, last: bool = False) -> None:
        for camera in self._cameras.values():
            camera.publish_late(last=last)

    def _batch_limit(self, options: Options) -> int:
        """On the CPU one: there a batch takes as long as its frames one by one, and all would wait for it."""
        assert self._engine is not None
        return options.max_batch or (len(self._cameras) if self._engine.on_gpu else 1)

    def _accept(self, arrivals: Mapping[str, Arrival], options: Options) -> list[Work]:
        works = []
        for name, arrival in arrivals.items():
            work = self._cameras[name].accept(arrival, options, self._enabled)
            if work is not None:
                works.append(work)
        return works

    def _process(self, batch: Sequence[Work], options: Options) -> None:
        """Frames of one size from pixels to messages; whatever is wrong with them ends here."""
        finished = 0
        try:
            panoptic = any(work.camera.panoptic_wanted() for work in batch)
            segmentations = self._segment([work.frame for work in batch], options, panoptic)
            for work, segmentation in zip(batch, segmentations, strict=True):
                work.camera.finish(work, segmentation, options)
                finished += 1
        except OutOfMemory as error:
            reason, text = "out_of_memory", str(error)
        except RegionError as error:
            reason, text = "roi_outside", str(error)
        except Exception as error:  # an unforeseen fault costs these frames, not the worker
            reason, text = "failed", f"{type(error).__name__}: {error}"
        for work in batch[finished:]:
            work.camera.drop(reason, text)

    def _segment(self, frames: Sequence[Frame], options: Options, panoptic: bool) -> list[Segmentation]:
        """The frames, of one size, through the model; only the region of interest is looked at.

        Raises OutOfMemory, RegionError.
        """
        engine = self._engine
        assert engine is not None
        size = frames[0].image_size
        region = clip_region(options.region(), size)
        wanted = options.segment_options(engine.labels, engine.default_options)
        cut = [cut_out(frame, region) for frame in frames]
        found = engine.segment_batch(cut, replace(wanted, panoptic=panoptic))
        return [put_back(segmentation, region, size) for segmentation in found]

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

    def _on_segment(self, request: Segment.Request, response: Segment.Response) -> Segment.Response:
        engine, options = self._engine, self._options
        if engine is None:
            response.message = "not configured: no model is loaded"
            return response
        try:
            frame = decode_message(request.image)
            (found,) = self._segment([frame], options, request.panoptic)
        except (ImageError, OutOfMemory, RegionError) as error:
            response.message = str(error)
            return response
        except Exception as error:  # an unforeseen fault costs one answer, not the node
            response.message = f"{type(error).__name__}: {error}"
            return response
        response.instances = convert.to_instances(frame, found, engine.labels, options.mask_encoding)
        if found.panoptic is not None and request.panoptic:
            response.panoptic = convert.to_panoptic(frame, found, engine.labels)
        response.success = True
        return response

    # --- parameters and reports -------------------------------------------------------------------

    def _check(self, options: Options) -> None:
        """Raises ValueError for class names that the loaded model does not know."""
        if self._engine is not None:
            options.segment_options(self._engine.labels, self._engine.default_options)

    def _take_options(self, changes: Sequence[Parameter]) -> None:
        self._options = options_of(self)
        if self._engine is not None and any(change.name == "score_threshold" for change in changes):
            wanted = self._options.segment_options(self._engine.labels, self._engine.default_options)
            for camera in self._cameras.values():
                camera.tell_threshold(wanted.score_threshold)

    def _report(self) -> None:
        setup = {
            "device": self._engine.device_name if self._engine else "none",
            "model": self._model_name(),
            "precision": self._precision(),
            "engine": self._options.engine or "none",
        }
        problem = self._problem()
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        for camera in self._cameras.values():
            message.status.append(camera.status(setup, problem))
        self._diagnostics.publish(message)

    def _model_name(self) -> str:
        return self._options.model_weights or "embedded model"

    def _precision(self) -> str:
        """What is taken, and that it was chosen where it was."""
        taken = self._engine.precision if self._engine else "none"
        return f"{taken} (auto)" if self._options.precision == "auto" else taken

    def _problem(self) -> str | None:
        if self._engine is None:
            return "not configured: no model is loaded"
        if self._working is not None and self._working.done():
            return "the worker thread has died: restart the node"
        return None


def _by_size(works: Sequence[Work]) -> list[list[Work]]:
    """One batch for each image size: another size would be padded, which changes results."""
    batches: dict[tuple[int, int], list[Work]] = {}
    for work in works:
        batches.setdefault(work.frame.image_size, []).append(work)
    return list(batches.values())


def _listed(names: Mapping[int, str]) -> str:
    """All names, of many the first ones and their number."""
    some = ", ".join(list(names.values())[:LISTED_NAMES])
    return f"{some}, … ({len(names)})" if len(names) > LISTED_NAMES else some or "none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted. Returns the process's exit code."""
    memory.keep_large_buffers()
    # rclpy's own signal handling would end the context under the frame in work; here it is still published.
    interrupt = Interrupt()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _parser().parse_args(remove_ros_args(["node", *arguments])[1:])
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = SegNode()
    except (ParameterException, ValueError) as error:
        print(f"seg_node: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    pass_on_core_log(node.get_logger())
    executor = MultiThreadedExecutor(2)  # quick services; the one that waits for the model
    executor.add_node(node)
    try:
        if not node.autostart:
            node.get_logger().info("autostart is false: waiting to be configured")
        elif not node.start():
            return 1
        while rclpy.ok():
            interrupt.check()
            executor.spin_once(timeout_sec=SIGNAL_CHECK_S)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _parser() -> argparse.ArgumentParser:
    """Only ROS arguments are taken: whatever else is given is answered with this help."""
    return argparse.ArgumentParser(
        prog="seg_node node",
        usage="%(prog)s --ros-args [-r image:=/camera/image_raw] [-p NAME:=VALUE] [--params-file FILE]",
        description="The ROS 2 node; parameters and topics are in README.md and config/seg_node.yaml.",
    )


if __name__ == "__main__":
    sys.exit(main())
