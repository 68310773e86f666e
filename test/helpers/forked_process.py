# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Python programs forked from a server that has imported PyTorch, ROS and the node.

A process of its own spends 4 s of CPU on these imports, and the tests start some 200 nodes. The server itself
never runs anything: no thread, DDS participant or random state comes with the fork.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from pathlib import Path

# pytest: the fork imports the parent's main module
PRELOADED = ["pytest", "torchvision", "seg_node.ros.node.node", "seg_node.models.load", "seg_node.cli"]
_CONTEXT = multiprocessing.get_context("forkserver")
_PYTHONPATH = os.environ.get("PYTHONPATH")


def start_program(
    entry: Sequence[str], arguments: Sequence[str], log: Path
) -> "ForkedProcess | subprocess.Popen[bytes]":
    """Start a program in a process group of its own; with "-c", or after PYTHONPATH changed, it imports anew.

    entry: "-m" and a module, "-c" and code, or a script and its first arguments; `arguments` follow these.
    """
    if entry[0] != "-c" and os.environ.get("PYTHONPATH") == _PYTHONPATH:
        return ForkedProcess(entry, arguments, log)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, *entry, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


class ForkedProcess:
    """A program with its output in a file; the part of subprocess.Popen that the tests use."""

    def __init__(self, entry: Sequence[str], arguments: Sequence[str], log: Path) -> None:
        """See `start_program`."""
        _start_server()
        program = (list(entry), list(arguments), dict(os.environ), str(log))
        self._process = _CONTEXT.Process(target=_run, args=program, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _start_server() -> None:
    """Start the server, once; PyTorch reads the number of its threads when it is imported."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # the tests' models are tiny, and the test needs a core itself
    try:
        _CONTEXT.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _run(entry: list[str], arguments: list[str], environment: dict[str, str], log: str) -> None:
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.clear()
    os.environ.update(environment)
    if entry[0] == "-m":
        sys.argv = [entry[1], *arguments]
        runpy.run_module(entry[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [*entry, *arguments]
        runpy.run_path(entry[0], run_name="__main__")
