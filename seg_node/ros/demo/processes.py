# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Child processes of the demo: started with their output in a file, stopped so that none is left behind."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Time to exit after SIGINT (the node finishes its frame) and after SIGTERM.
INTERRUPT_S, TERMINATE_S = 20.0, 3.0
LAST_LINES = 15


class Program:
    """`seg_node ARGUMENTS…` in a session of its own: the terminal's Ctrl-C reaches only the demo."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self.name = arguments[0]
        # If the demo itself is killed, the kernel ends this process too.
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [*guard, sys.executable, "-u", "-m", "seg_node.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def failure(self) -> RuntimeError:
        """Build the error for an unexpected exit: its status and the end of its log."""
        return RuntimeError(f"the {self.name} process ended with status {self.status}:\n{self.last_lines()}")

    def last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does, without waiting."""
        if self.status is None:
            self._process.send_signal(signal.SIGINT)

    def stop(self) -> int:
        """Send SIGINT, then SIGTERM, then SIGKILL, until it exits. Returns the exit status."""
        try:
            for sent, patience_s in ((signal.SIGINT, INTERRUPT_S), (signal.SIGTERM, TERMINATE_S)):
                if self._exits_on(sent, patience_s):
                    break
        finally:  # also when the user's second Ctrl-C ends this wait
            self._process.kill()
        return self._process.wait()

    def _exits_on(self, sent: signal.Signals, patience_s: float) -> bool:
        if self.status is not None:
            return True
        self._process.send_signal(sent)
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            print(f"the {self.name} process does not exit on {sent.name}", file=sys.stderr)
        return self.status is not None
