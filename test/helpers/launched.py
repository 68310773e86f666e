# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a launch file with the real `launch`, in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node_harness import START_TIMEOUT_S, wait_until

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
SEG_NODE = LAUNCH / "seg_node.launch.py"
WAITS = "autostart is false"
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
arguments = [tuple(argument.split(":=", 1)) for argument in sys.argv[2:]]
included = IncludeLaunchDescription(AnyLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments)
service = LaunchService()
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""


class Launched:
    """What runs; `log` has the output of launch and of all its processes."""

    def __init__(
        self, file: Path, arguments: tuple[str, ...], log: Path, environment: dict[str, str]
    ) -> None:
        self._log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, str(file), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "ROS_LOG_DIR": str(log.parent), **environment},
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, count: int = 1) -> None:
        """Until the log has it `count` times. Fails when launch ends before."""
        wait_until(
            lambda: self.log.count(text) >= count or self.process.poll() is not None, START_TIMEOUT_S, text
        )
        assert self.log.count(text) >= count, self.log

    def pids(self, name: str = "seg_node") -> list[int]:
        """Of the processes that launch has started under that name, oldest first."""
        return [
            int(pid) for pid in re.findall(rf"\[{name}-\d+\]: process started with pid \[(\d+)\]", self.log)
        ]

    def environment_of_node(self) -> dict[str, str]:
        block = Path(f"/proc/{self.pids()[-1]}/environ").read_bytes().decode()
        return dict(entry.split("=", 1) for entry in block.split("\0") if "=" in entry)

    def ended(self) -> int:
        """The exit code; waits for it."""
        return self.process.wait(START_TIMEOUT_S)


@contextmanager
def launched(file: Path, folder: Path, *arguments: str, **environment: str) -> Iterator[Launched]:
    """arguments: `name:=value`. environment: added to this process's. Ends by Ctrl-C."""
    running = Launched(file, arguments, folder / "launch.log", environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
        running.process.wait(START_TIMEOUT_S)
