# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Starts the real node in a process of its own and talks to it over DDS."""

import array
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
import yaml
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from forked_process import start_program
from numpy.typing import NDArray
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

NODE = "/seg_node"
FRAME_ID = "front/camera_optical_frame"
START_TIMEOUT_S = 90.0


class NodeProcess:
    """One seg_node process, in a process group of its own; its output is in `log`."""

    def __init__(
        self,
        folder: Path,
        parameters: dict[str, Any],
        remaps: dict[str, str],
        entry: Sequence[str] = ("-m", "seg_node.ros.node"),
    ) -> None:
        """entry: what Python runs, before the ROS arguments."""
        self._log_path = folder / "node.log"
        file = folder / "parameters.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        arguments = ["--ros-args", "--params-file", str(file)]
        for name, value in remaps.items():
            arguments += ["-r", f"{name}:={value}"]
        self.process = start_program(entry, arguments, self._log_path)

    @property
    def log(self) -> str:
        return self._log_path.read_text() if self._log_path.exists() else ""

    def wait_for_log(self, text: str, timeout_s: float = START_TIMEOUT_S) -> None:
        wait_until(lambda: text in self.log or self.process.poll() is not None, timeout_s, text)
        assert text in self.log, self.log

    def shared_memory(self) -> set[Path]:
        """The lock files of its DDS segments in /dev/shm, without those of the ports, which others share."""
        files = set()
        with suppress(OSError):  # closed meanwhile, or the process has ended
            for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
                files.add(Path(os.readlink(link)))
        return {file for file in files if file.parent == Path("/dev/shm") and "_port" not in file.name}

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


@contextmanager
def running_node(
    folder: Path,
    parameters: dict[str, Any] | None = None,
    remaps: dict[str, str] | None = None,
    until: str = "active, waiting for images",
    entry: Sequence[str] = ("-m", "seg_node.ros.node"),
) -> Iterator[NodeProcess]:
    """A node that has logged `until`; stopped by Ctrl-C at the end."""
    node = NodeProcess(folder, parameters or {}, remaps or {}, entry)
    try:
        node.wait_for_log(until)
        yield node
    finally:
        node.stop()


class Probe:
    """A ROS node inside the test that spins in a thread and keeps all it hears."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node("probe", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._stopping.is_set():
            # InvalidHandle: the test destroyed an entity while the executor built its wait set
            with suppress(ExternalShutdownException, ShutdownException, rclpy_implementation.InvalidHandle):
                self._executor.spin_once(0.5)

    def stop_spinning(self) -> None:
        self._stopping.set()
        self._executor.wake()
        self._thread.join(5)
        self._executor.shutdown()

    def close(self) -> None:
        self.stop_spinning()
        self.node.destroy_node()  # or its subscriptions would go on keeping other nodes at work
        rclpy.shutdown(context=self._context)

    def listen(self, message_type: type[Any], topic: str) -> "list[Any]":
        """A list that grows with every message; returns when a publisher is matched."""
        heard: list[Any] = []
        qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        subscription = self.node.create_subscription(message_type, topic, heard.append, qos)
        wait_until(lambda: subscription.get_publisher_count() > 0, 20, f"a publisher of {topic}")
        return heard

    def publisher(self, message_type: type[Any], topic: str) -> Any:
        """A reliable publisher (nothing is lost in a test) that has found its subscriber."""
        publisher = self.node.create_publisher(message_type, topic, 50)
        wait_until(lambda: publisher.get_subscription_count() > 0, 20, f"a subscriber of {topic}")
        return publisher

    def call(
        self, service_type: type[Any], name: str, request: Any, timeout_s: float = 60.0
    ) -> tuple[Any, float]:
        """The answer and the seconds it took."""
        client = self.node.create_client(service_type, name)
        assert client.wait_for_service(20), name
        began = time.perf_counter()
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(timeout_s), f"{name} did not answer in {timeout_s} s"
        seconds = time.perf_counter() - began
        self.node.destroy_client(client)
        return future.result(), seconds

    def set_parameter(self, name: str, value: Any) -> tuple[Any, float]:
        """rcl_interfaces' result (successful, reason) and the seconds it took."""
        parameter: ParameterMessage = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        answer, seconds = self.call(SetParameters, f"{NODE}/set_parameters", request)
        return answer.results[0], seconds

    def get_parameter(self, name: str) -> tuple[Any, float]:
        request = GetParameters.Request(names=[name])
        answer, seconds = self.call(GetParameters, f"{NODE}/get_parameters", request)
        return answer.values[0], seconds


def diagnostics(messages: list[DiagnosticArray]) -> dict[str, str]:
    """Key → value of the newest report."""
    return {pair.key: pair.value for pair in messages[-1].status[0].values} if messages else {}


def count(messages: list[DiagnosticArray], key: str) -> int:
    return int(diagnostics(messages).get(key, "0"))


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"timed out after {timeout_s} s waiting for {what}"
        time.sleep(0.01)


def picture(height: int = 120, width: int = 160, seed: int = 3) -> NDArray[np.uint8]:
    """Coloured blobs, not square, no symmetry."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 90, np.uint8)
    for _ in range(12):
        centre = int(rng.integers(width)), int(rng.integers(height))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.circle(image, centre, int(rng.integers(6, 30)), colour, -1)
    return image


def image_message(pixels: NDArray[np.uint8], stamp_ms: int, encoding: str = "bgr8") -> Image:
    return Image(
        header=Header(
            stamp=Time(sec=stamp_ms // 1000, nanosec=stamp_ms % 1000 * 1_000_000), frame_id=FRAME_ID
        ),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels.strides[0],
        data=array.array("B", pixels.tobytes()),
    )


def stamp_ms(header: Header) -> int:
    return int(header.stamp.sec * 1000 + header.stamp.nanosec // 1_000_000)


def send_and_wait(probe: Probe, message: Any, heard: list[Any], publisher: Any) -> Any:
    """The output that carries the message's stamp."""
    publisher.publish(message)
    wait_until(lambda: any(out.header.stamp == message.header.stamp for out in heard), 30, "an output")
    return next(out for out in heard if out.header.stamp == message.header.stamp)
