"""The ROS 2 node: images in, instance and panoptic messages out, each with the source's stamp and frame_id.

Threads: the executor's thread receives images and answers services, nothing else; one worker thread owns
the model; one thread draws the debug image. Between them only the newest frame waits, and every frame that
gives no result is counted with its reason on /diagnostics.

Life: __init__ declares → on_configure loads and warms up the model → on_activate subscribes → frames:
_on_image → _work → _process → Outputs.publish → on_deactivate stops → on_cleanup frees the model.
"""

import argparse
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import QoSMessageLostInfo, SubscriptionEventCallbacks
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CompressedImage, Image

from seg_node.engine import Engine, OutOfMemory, choose_device
from seg_node.images import ImageError, decode_message
from seg_node.models.load import load_model
from seg_node.ros import convert, memory
from seg_node.ros.diagnostics import FrameStatistics
from seg_node.ros.interrupt import Interrupt
from seg_node.ros.log import pass_on_core_log
from seg_node.ros.outputs import Outputs, Result
from seg_node.ros.parameters import Options, declare_parameters, options_of
from seg_node.ros.slot import NewestSlot
from seg_node.ros.topics import input_qos

WAIT_S = 0.1
SIGNAL_CHECK_S = 0.2
DIAGNOSTICS_PERIOD_S = 1.0
SILENCE_S = 10.0
LISTED_NAMES = 12
WARM_UP_SIZE = (480, 640)


@dataclass(frozen=True)
class Arrival:
    """An image message and the monotonic time at which it came, in seconds."""

    message: Image | CompressedImage
    at: float


class SegNode(LifecycleNode):
    """Subscribes `image`, publishes `~/instances`, `~/panoptic`, `~/debug_image` and more (README)."""

    def __init__(self, node_name: str = "seg_node", **kwargs: Any) -> None:
        """kwargs go to rclpy's node (namespace, parameter_overrides, context …)."""
        super().__init__(node_name, **kwargs)
        self._engine: Engine | None = None
        self._outputs: Outputs | None = None
        self._worker: threading.Thread | None = None
        self._subscription: Subscription | None = None
        self._statistics = FrameStatistics()
        self._slot: NewestSlot[Arrival] = NewestSlot()
        self._stopping = threading.Event()
        self._last_stamp_ns = 0
        self._options = declare_parameters(self, self._check)
        self.add_post_set_parameters_callback(self._take_options)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # A steady clock: with use_sim_time a stopped simulation must still be reported.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(DIAGNOSTICS_PERIOD_S, self._report, clock=self._steady)
        self._silence: Timer | None = None

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
            options.segment_options(model.labels, model.default_options)
            engine = Engine(model, choose_device(options.device))
            engine.warm_up(WARM_UP_SIZE)
        except (ValueError, OSError, RuntimeError) as error:
            self.get_logger().error(f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self._engine = engine
        self._outputs = Outputs(self, model.labels, self._on_output_fault)
        self.get_logger().info(
            f"{self._model_name()} on {engine.device_name}, things: {_listed(model.labels.things)}, "
            f"stuff: {_listed(model.labels.stuff)}"
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stopping.clear()
        self._worker = threading.Thread(target=self._work, name="worker", daemon=True)
        self._worker.start()
        compressed = self._options.image_transport == "compressed"
        topic = self.resolve_topic_name("image") + ("/compressed" if compressed else "")
        self._subscription = self.create_subscription(
            CompressedImage if compressed else Image,
            topic,
            self._on_image,
            input_qos(),
            event_callbacks=SubscriptionEventCallbacks(message_lost=self._on_message_lost),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._silence = self.create_timer(SILENCE_S, self._warn_of_silence, clock=self._steady)
        self.get_logger().info(f"active, waiting for images on {topic}")
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
        super().destroy_node()

    def _stop(self) -> None:
        """Unsubscribe, let the worker finish its frame, count the one that waits."""
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._silence is not None:
            self.destroy_timer(self._silence)
            self._silence = None
        if self._worker is not None:
            self._stopping.set()
            self._worker.join()
            self._worker = None
        if self._slot.take(0.0) is not None:
            self._statistics.dropped("deactivated")

    def _release(self) -> None:
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    # --- one frame's way --------------------------------------------------------------------------

    def _on_image(self, message: Image | CompressedImage) -> None:
        """Executor's thread: store the frame for the worker; newest wins."""
        self._statistics.received()
        if self._silence is not None:
            self._silence.cancel()
        if not self._in_order(convert.stamp_to_ns(message.header.stamp)):
            return
        if self._slot.put(Arrival(message, time.perf_counter())) is not None:
            self._statistics.dropped("replaced_by_newer")

    def _in_order(self, stamp_ns: int) -> bool:
        """Refuse a frame older than its predecessor; after a jump back (a looped bag) the next is served."""
        last, self._last_stamp_ns = self._last_stamp_ns, stamp_ns
        if stamp_ns == 0:
            if self._statistics.warned("zero_stamp"):
                self.get_logger().warning(
                    "image stamp is zero: results carry it too; let the camera driver set it"
                )
            return True
        if stamp_ns < last:
            self._drop(
                "stamp_backwards", f"image stamp {stamp_ns} ns is older than the one before ({last} ns)"
            )
            return False
        return True

    def _work(self) -> None:
        """Worker's thread: until the node stops, take the newest frame and process it."""
        next_start = 0.0
        while not self._stopping.is_set():
            wait = next_start - time.perf_counter()
            if wait > 0:
                self._stopping.wait(min(wait, WAIT_S))
                continue
            arrival = self._slot.take(WAIT_S)
            if arrival is None:
                continue
            options = self._options
            if options.max_rate > 0:
                next_start = time.perf_counter() + 1.0 / options.max_rate
            self._process(arrival, options)

    def _process(self, arrival: Arrival, options: Options) -> None:
        """One frame from message to messages; whatever is wrong with it ends here."""
        assert self._engine is not None and self._outputs is not None
        if not (options.always_on or self._outputs.wanted()):
            self._statistics.dropped("no_subscriber")
            return
        taken = time.perf_counter()
        try:
            frame = decode_message(arrival.message)
            decoded = time.perf_counter()
            wanted = options.segment_options(self._engine.labels, self._engine.default_options)
            panoptic = self._outputs.panoptic_wanted()
            segmentation = self._engine.segment(frame, replace(wanted, panoptic=panoptic))
            milliseconds = {
                "wait_ms": (taken - arrival.at) * 1e3,
                "decode_ms": (decoded - taken) * 1e3,
                **{f"{stage}_ms": spent for stage, spent in segmentation.stage_ms.items()},
            }
            timing = self._outputs.publish(Result(frame, segmentation, milliseconds), options)
            self._statistics.processed(timing)
        except ImageError as error:
            self._drop(error.reason, f"{self.resolve_topic_name('image')}: {error}")
        except OutOfMemory as error:
            self._drop("out_of_memory", str(error))
        except Exception as error:  # an unforeseen fault costs one frame, not the worker
            self._drop("failed", f"{type(error).__name__}: {error}")

    def _drop(self, reason: str, text: str) -> None:
        if self._statistics.dropped(reason, bad=True):
            self.get_logger().warning(f"frame dropped ({reason}): {text}")

    # --- parameters and reports -------------------------------------------------------------------

    def _check(self, options: Options) -> None:
        """Raises ValueError for class names that the loaded model does not know."""
        if self._engine is not None:
            options.segment_options(self._engine.labels, self._engine.default_options)

    def _take_options(self, changes: Sequence[Parameter]) -> None:
        self._options = options_of(self)

    def _warn_of_silence(self) -> None:
        """Once after the activation, if no image came: a wrong topic name gives no other sign."""
        assert self._silence is not None and self._subscription is not None
        self._silence.cancel()
        kind = self._subscription.msg_type.__name__
        topics = [
            name
            for name, kinds in self.get_topic_names_and_types()
            if f"sensor_msgs/msg/{kind}" in kinds and self.count_publishers(name)
        ]
        self.get_logger().warning(
            f"no image has come on {self._subscription.topic_name} for {SILENCE_S:.0f} s; "
            f"topics on which {kind} is published: {', '.join(topics) or 'none'}"
        )

    def _on_message_lost(self, info: QoSMessageLostInfo) -> None:
        if self._statistics.warned("lost_in_transport", info.total_count_change):
            self.get_logger().warning(
                "images are lost in transport: start the camera's process with config/fastdds_images.xml "
                "(docs/troubleshooting.md)"
            )

    def _on_output_fault(self, text: str) -> None:
        if self._statistics.warned("output_fault"):
            self.get_logger().warning(text)

    def _report(self) -> None:
        name = f"{self.get_fully_qualified_name()}: frames"
        device = self._engine.device_name if self._engine else "none"
        status = self._statistics.status(name, device, self._model_name(), self._problem())
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _model_name(self) -> str:
        return self._options.model_weights or "embedded model"

    def _problem(self) -> str | None:
        if self._engine is None:
            return "not configured: no model is loaded"
        if self._worker is None:
            return None
        return None if self._worker.is_alive() else "the worker thread has died: restart the node"


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
    executor = SingleThreadedExecutor()
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
