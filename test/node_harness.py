"""Starts the real node in a process of its own and talks to it over DDS."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy

NODE = "/seg_node"
START_TIMEOUT_S = 90.0


class NodeProcess:
    """One seg_node process; its output is in `log`."""

    def __init__(self, folder: Path, parameters: dict[str, Any], remaps: dict[str, str]) -> None:
        self._log_path = folder / "node.log"
        command = [sys.executable, "-m", "seg_node.ros.node", "--ros-args"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={_yaml(value)}"]
        for name, value in remaps.items():
            command += ["-r", f"{name}:={value}"]
        with self._log_path.open("w") as log:
            # One thread: the tests' models are tiny, and the machine is shared with the test itself.
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def wait_for_log(self, text: str, timeout_s: float = START_TIMEOUT_S) -> None:
        wait_until(lambda: text in self.log or self.process.poll() is not None, timeout_s, text)
        assert text in self.log, self.log

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def running_node(
    folder: Path,
    parameters: dict[str, Any] | None = None,
    remaps: dict[str, str] | None = None,
    until: str = "active, waiting for images",
) -> Iterator[NodeProcess]:
    """A node that has logged `until`; stopped by Ctrl-C at the end."""
    node = NodeProcess(folder, parameters or {}, remaps or {})
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
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        rclpy.shutdown(context=self._context)
        self._thread.join(5)

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
