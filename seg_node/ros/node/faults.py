# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Faults are counted with their reason and logged, each reason at most every 30 s."""

import threading
import traceback
from collections import Counter

from rclpy.impl.rcutils_logger import RcutilsLogger

from seg_node.inference.device_errors import DeviceLost
from seg_node.ros.node.diagnostics import FrameStatistics, Throttle
from seg_node.untrusted.printable import printable

LONGEST = 500


class Faults:
    """Counts and logs what went wrong with one camera's frames."""

    def __init__(self, statistics: FrameStatistics, logger: RcutilsLogger) -> None:
        self._statistics, self._logger = statistics, logger

    def drop(self, reason: str, text: str, unforeseen: BaseException | None = None) -> None:
        """Count and log a received frame that gives no result. unforeseen: logged with its traceback."""
        if self._statistics.dropped(reason, bad=True):
            self._log(f"frame dropped ({reason}): {_on_one_line(text)}", unforeseen)

    def warn(self, reason: str, text: str, count: int = 1, unforeseen: BaseException | None = None) -> None:
        """Count and log a fault for which no received frame was dropped."""
        if self._statistics.warned(reason, count):
            self._log(_on_one_line(text), unforeseen)

    def _log(self, line: str, unforeseen: BaseException | None) -> None:
        if unforeseen is None:
            self._logger.warning(line)
        else:
            self._logger.error(f"{line}\n{trace(unforeseen)}")


class CallbackFaults:
    """Counts and logs what callbacks, threads and transitions raised outside the frame path.

    device_lost: set once the device is lost; then nothing is served, and the process must end.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._throttle = Throttle()
        self.counts: Counter[str] = Counter()
        self.device_lost: DeviceLost | None = None

    def caught(self, what: str, error: BaseException) -> None:
        """Count an error as `callback_failed`; log it with its traceback, each kind at most every 30 s."""
        with self._lock:
            self.counts["callback_failed"] += 1
            due = self._throttle.due(f"{what} {type(error).__name__}")
        if due:
            self._logger.error(f"{what}: {type(error).__name__}: {error}; the node goes on\n{trace(error)}")

    def lose_device(self, error: DeviceLost) -> None:
        """Stop serving for good: every later call, and any other model, would fail too."""
        if self.device_lost is None:
            self.device_lost = error
            self._logger.fatal(f"{error}\n{trace(error)}")


def trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def _on_one_line(text: str) -> str:
    """Return text that may quote a message as one printable line."""
    return printable(text, LONGEST)
