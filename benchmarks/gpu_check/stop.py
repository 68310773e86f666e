# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM end the running part; the command then writes the rows so far."""

import os
import signal
import subprocess
from contextlib import suppress
from types import FrameType


class Stop:
    """A signal handler. number: the first signal that arrived, 0 before any."""

    def __init__(self) -> None:
        self.number = 0
        self._part: subprocess.Popen[bytes] | None = None

    @property
    def reason(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}" if self.number else ""

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self)

    def watch(self, part: "subprocess.Popen[bytes]") -> None:
        """Kill the part's process group on a signal, at once if one arrived while the part started."""
        self._part = part
        if self.number:
            kill_group(part)

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        self.number = self.number or number
        if self._part is not None and self._part.returncode is None:
            kill_group(self._part)


def kill_group(leader: "subprocess.Popen[bytes]") -> None:
    """The leader has a session of its own, which a signal from the terminal does not reach."""
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
