# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Signals that end the node: the first one stops it in order; a second one, or a timeout, ends it at once.

Python runs signal handlers in the main thread only, which may be busy with a library's C code. Here the
interpreter writes each signal's number into a pipe at once, and a thread of its own reads it.
"""

import os
import select
import signal
import threading
import time
from contextlib import suppress
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_S = 3.5  # `ros2 launch` escalates to SIGTERM 5 s after SIGINT
# Ctrl-C in a terminal reaches the node twice: from the terminal and from `ros2 launch`.
SAME_SIGNAL_S = 0.3
LOG_S = 0.1


class StopSignal:
    """Waits for SIGINT, SIGTERM and SIGHUP from its construction on.

    Until `expect_orderly_stop` there is nothing to stop in order, and the first signal ends the process.
    """

    def __init__(self, stop_s: float = STOP_S) -> None:
        """Install the handlers; call it in the main thread. stop_s: seconds that an orderly stop may take."""
        self.asked = threading.Event()
        self._orderly = threading.Event()
        self._stop_s = stop_s
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._watch, name="stop_signal", daemon=True).start()

    def expect_orderly_stop(self) -> None:
        """Stop in order from now on: the main thread waits for `asked` and stops what runs."""
        self._orderly.set()

    def _watch(self) -> None:
        while not self._came(None):
            pass
        if not self._orderly.is_set():
            exit_now("seg_node: stopped while starting")
        began = time.monotonic()
        self.asked.set()
        while (left := began + self._stop_s - time.monotonic()) > 0:
            if self._came(left) and time.monotonic() - began > SAME_SIGNAL_S:
                exit_now("seg_node: second signal: ended at once")
        exit_now(f"seg_node: not stopped after {self._stop_s:g} s (a model that is stuck or loading?): ended")

    def _came(self, timeout_s: float | None) -> bool:
        """Return whether one of the signals came within the time."""
        ready, _, _ = select.select([self._reader], [], [], timeout_s)
        return bool(ready) and any(number in SIGNALS for number in os.read(self._reader, 64))


def exit_now(line: str, code: int = 0) -> NoReturn:
    """End the process without the interpreter's clean-up, which would wait for threads that are stuck.

    The line is left out where nobody reads the log.
    """
    with suppress(OSError, ValueError):
        _, writable, _ = select.select([], [2], [], LOG_S)
        if writable:
            os.write(2, f"{line}\n".encode())
    os._exit(code)


def exit_later(seconds: float, code: int) -> None:
    """End the process after that time if it has not ended in order."""
    line = f"seg_node: not stopped after {seconds:g} s: ended"
    timer = threading.Timer(seconds, exit_now, (line, code))
    timer.daemon = True
    timer.start()
