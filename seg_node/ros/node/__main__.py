# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The node's process: signals, executor, start and end."""

import gc
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from seg_node.ros.common import memory
from seg_node.ros.node.arguments import check_arguments
from seg_node.ros.node.executor import GuardedExecutor
from seg_node.ros.node.stop_signal import STOP_S, StopSignal, exit_later
from seg_node.untrusted.printable import one_line

if TYPE_CHECKING:
    from seg_node.ros.node.node import SegNode

# Parameters and quick services; transitions; reports; /tf and /clock.
EXECUTOR_THREADS = 4
CHECK_S = 0.1


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the node until it is interrupted; ends the process: 0 after a signal, 1 when it cannot go on.

    It cannot when it does not start, or when its device is lost: a supervisor may start it again.

    The interpreter's own clean-up is left out: on a busy machine it takes longer than `ros2 launch` waits,
    and it would wait for threads that are stuck.
    """
    _open_standard_streams()
    stop = StopSignal()  # first: importing PyTorch takes seconds, and a signal must end that too
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments), stop)
    except SystemExit as end:  # argparse
        code = end.code if isinstance(end.code, int) else 1
    except Exception as error:  # such as ROS arguments that rcl cannot read
        _print(one_line(f"seg_node: {type(error).__name__}: {error}", 1000))
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed, or a pipe that nobody reads
            stream.flush()
    os._exit(code)


def _run(arguments: Sequence[str], stop: StopSignal) -> int:
    check_arguments(arguments)
    remove_ros_args(["node", *arguments])  # raises for what rcl cannot parse; rclpy.init would log it first
    node = _create_node(arguments)
    if node is None:
        return 1
    executor = GuardedExecutor(EXECUTOR_THREADS, node.faults.caught)
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, name="executor", daemon=True)
    spinning.start()
    failed = threading.Event()
    if node.autostart:
        threading.Thread(target=_start, args=(node, failed), name="start", daemon=True).start()
    else:
        node.get_logger().info("autostart is false: waiting to be configured")
    stop.expect_orderly_stop()
    while not (stop.asked.wait(CHECK_S) or failed.is_set() or node.device_lost) and spinning.is_alive():
        pass
    if node.device_lost:
        exit_later(STOP_S, 1)
    executor.stop()
    spinning.join(CHECK_S * 5)
    _end(node, executor)
    if node.device_lost:
        _print(f"seg_node: {node.device_lost}")
    return 1 if failed.is_set() or node.device_lost else 0


def _create_node(arguments: Sequence[str]) -> "SegNode | None":
    """The node, or None after a line that says why there is none."""
    memory.keep_large_buffers()
    # Received pixels are read in place, which PyTorch takes for a mistake.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    try:
        # rclpy's own signal handling would end the context under the frame in work; here it is published.
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
        from seg_node.ros.node.log import pass_on_core_log
        from seg_node.ros.node.node import SegNode

        node = SegNode()
    except (ParameterException, ValueError, RuntimeError) as error:
        _print(f"seg_node: {error}")
    else:
        pass_on_core_log(node.get_logger())
        return node
    gc.collect()  # the unfinished node
    _leave_ros()
    return None


def _start(node: "SegNode", failed: threading.Event) -> None:
    try:
        started = node.start()
    except BaseException as error:
        node.faults.caught("start", error)
        started = False
    if not started:
        failed.set()


def _end(node: "SegNode", executor: GuardedExecutor) -> None:
    try:
        executor.shutdown(CHECK_S)
        node.destroy_node()
        _leave_ros()
    except BaseException as error:  # the process ends all the same
        _print(f"seg_node: while stopping: {type(error).__name__}: {error}")


def _leave_ros() -> None:
    """Shut down, and free the context: with it the DDS participant goes, and its files in /dev/shm."""
    rclpy.try_shutdown()
    rclpy.get_default_context().destroy()


def _open_standard_streams() -> None:
    """Put /dev/null where a supervisor has closed them: else a socket would get their number, and our log."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def _print(line: str) -> None:
    with suppress(AttributeError, OSError, ValueError):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
