# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The `seg_node` command. Each subcommand imports what it needs when it runs, so that help is instant."""

import argparse
import contextlib
import importlib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from seg_node import __version__
from seg_node.arguments import LONGEST_LINE, Parser
from seg_node.command_line import evaluate, export, fetch_weights, segment, train
from seg_node.ros.common.arguments import split_arguments
from seg_node.untrusted.printable import one_line

# Subcommands that need ROS 2: the module whose main(arguments) runs them, and help.
ROS_COMMANDS = {
    "node": (
        "seg_node.ros.node.__main__",
        "run the ROS 2 node; takes ROS arguments (--ros-args -p NAME:=VALUE)",
    ),
    "play": ("seg_node.ros.play.main", "publish images, a video, a bag or a camera as a camera's ROS topic"),
    "view": (
        "seg_node.ros.view.main",
        "show a running node's images and results in a window or a browser",
    ),
    "demo": ("seg_node.ros.demo.main", "run node, camera stream and recorder; writes pictures and numbers"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status: 0, 1 for a failure, 2 for wrong usage (by argparse)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Set before torch is loaded: its OpenMP threads would spin while they wait for each other, which makes
    # inference ten times slower on cores that other programs use as well (docs/troubleshooting.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may not fit the terminal's encoding, or UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        if arguments and arguments[0] in ROS_COMMANDS:
            return _run_ros(arguments[0], arguments[1:])
        options = _parser().parse_args(arguments or ["--help"])
        logging.basicConfig(format="%(message)s")
        logging.getLogger("seg_node").setLevel(logging.INFO)
        run: Callable[[argparse.Namespace], int] = options.run
        with _sigterm_like_ctrl_c():
            return run(options)
    except argparse.ArgumentError as error:  # options that do not go together
        print(f"seg_node: {_shown(error)}", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError) as error:
        print(f"seg_node: {_shown(error)}", file=sys.stderr)
        return 1
    except MemoryError:
        print("seg_node: not enough memory for this; free some, or use smaller files", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@contextlib.contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM: a container or service that is stopped keeps its results so far."""
    is_free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not is_free or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _shown(error: Exception) -> str:
    """Return the error's lines without the control characters that file names and contents may have."""
    return "\n".join(one_line(line, LONGEST_LINE) for line in str(error).split("\n"))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="seg_node", description="Instance and panoptic segmentation of camera images.")
    parser.add_argument("--version", action="version", version=f"seg_node {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (segment, evaluate, train, export, fetch_weights):
        command.add(commands)
    for name, (_, text) in ROS_COMMANDS.items():
        commands.add_parser(name, help=text)
    return parser


def _check_usage(command: str, arguments: Sequence[str]) -> None:
    """Raise SystemExit for --help and for arguments that the command of ROS 2 does not take."""
    module = importlib.import_module(f"seg_node.ros.{command}.arguments")
    if command == "node":
        module.check_arguments(arguments)
    else:
        module.create_parser().parse_args(split_arguments(arguments)[0])


def _run_ros(command: str, arguments: list[str]) -> int:
    """Run a command of ROS 2. Wrong usage is refused before ROS and torch are loaded, which takes seconds."""
    _check_usage(command, arguments)
    try:
        module = importlib.import_module(ROS_COMMANDS[command][0])
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"ROS 2 is not in this environment ({error}): source it and the built workspace, or run "
            "source scripts/activate in the repository"
        ) from error
    status: int = module.main(arguments) or 0
    return status


if __name__ == "__main__":
    sys.exit(main())
