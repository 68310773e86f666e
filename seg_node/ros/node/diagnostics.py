# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The outcome of every frame, counted by reason and reported on /diagnostics."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

WARN_AGAIN_S = 30.0
FAILING_FRAMES = 5  # so many faulty frames in a row are an error, fewer a warning
REPLACED = "replaced_by_newer"


class Throttle:
    """Limits how often a reason is logged: the first time, then every 30 s. Not thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}

    def due(self, reason: str) -> bool:
        now = self._clock()
        if now - self._logged.get(reason, float("-inf")) < WARN_AGAIN_S:
            return False
        self._logged[reason] = now
        return True


@dataclass
class _Window:
    """Counts since the last report."""

    received: int = 0
    processed: int = 0
    bad: int = 0
    lost: int = 0
    warned: Counter[str] = field(default_factory=Counter)
    milliseconds: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)


class FrameStatistics:
    """Thread-safe counts of one camera's frames: received = processed + dropped by reason + in work."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._received = 0
        self._processed = 0
        self._dropped: Counter[str] = Counter()
        self._warned: Counter[str] = Counter()
        self._throttle = Throttle(clock)
        self._bad_in_a_row = 0
        self._last_bad = ""
        self._waiting_since: float | None = None  # of a frame, for any outcome but a newer frame
        self._window = _Window()

    def received(self) -> None:
        with self._lock:
            self._received += 1
            self._window.received += 1
            if self._waiting_since is None:
                self._waiting_since = self._clock()

    def processed(self, milliseconds: Mapping[str, float]) -> None:
        """Count a frame whose results were published; `milliseconds` by stage name."""
        with self._lock:
            self._processed += 1
            self._window.processed += 1
            self._window.milliseconds.update(milliseconds)
            self._bad_in_a_row = 0
            self._waiting_since = None

    def dropped(self, reason: str, bad: bool = False) -> bool:
        """Count a frame that gives no result. `bad`: for a cause the user should fix, not by design.

        Returns whether the reason should be logged now (the first time, then every 30 s).
        """
        with self._lock:
            self._dropped[reason] += 1
            if reason != REPLACED:
                self._waiting_since = None
            if bad:
                self._window.bad += 1
                self._bad_in_a_row += 1
                self._last_bad = reason
            return self._throttle.due(reason)

    def warned(self, reason: str, count: int = 1) -> bool:
        """Count a fault for which no received frame was dropped. Returns as `dropped`."""
        with self._lock:
            self._warned[reason] += count
            self._window.warned[reason] += count
            if reason == "lost_in_transport":
                self._window.lost += count
            return self._throttle.due(reason)

    def status(
        self,
        name: str,
        setup: Mapping[str, str],
        problem: str | None,
        stall_timeout_s: float = 10.0,
        resting: bool = False,
    ) -> DiagnosticStatus:
        """Report the time since the last report.

        setup: what runs, its "device" among it. problem: an error that overrides all else.
        stall_timeout_s: frames that wait longer for any of them to be served are an error.
        resting: images are not subscribed to, because nobody subscribes to an output.
        """
        with self._lock:
            window, self._window = self._window, _Window()
            dropped = self._dropped.total()
            seconds = max(time.monotonic() - window.began, 1e-6)
            values: dict[str, object] = {
                **setup,
                "received": self._received,
                "processed": self._processed,
                "dropped": dropped,
                "in_work": self._received - self._processed - dropped,
                **{f"dropped.{reason}": count for reason, count in sorted(self._dropped.items())},
                **{f"warned.{reason}": count for reason, count in sorted(self._warned.items())},
                "input_rate_hz": f"{window.received / seconds:.2f}",
                "output_rate_hz": f"{window.processed / seconds:.2f}",
                **{
                    stage: f"{total / window.processed:.2f}"
                    for stage, total in window.milliseconds.items()
                    if window.processed
                },
            }
            problem = problem or self._own_problem(stall_timeout_s)
        level, message = _verdict(window, problem, resting)
        return DiagnosticStatus(
            level=level,
            name=name,
            message=message,
            hardware_id=setup["device"],
            values=key_values(values),
        )

    def _own_problem(self, stall_timeout_s: float) -> str | None:
        waited_s = 0.0 if self._waiting_since is None else self._clock() - self._waiting_since
        if waited_s > stall_timeout_s:
            return f"images come, but none was served for {waited_s:.0f} s"
        if self._bad_in_a_row >= FAILING_FRAMES:
            return (
                f"the last {self._bad_in_a_row} frames were all dropped for a fault, the newest for "
                f"{self._last_bad}; see the log"
            )
        return None


def key_values(values: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in values.items()]


def _verdict(window: _Window, problem: str | None, resting: bool) -> tuple[bytes, str]:
    if problem:
        return DiagnosticStatus.ERROR, problem
    if window.bad:
        return DiagnosticStatus.WARN, f"{window.bad} frames dropped for a fault; see the counts and the log"
    if window.lost > window.received:
        return DiagnosticStatus.WARN, (
            f"{window.lost} images lost in transport, {window.received} received: start the camera's process "
            "with config/fastdds_images.xml"
        )
    if resting:
        return DiagnosticStatus.OK, "resting: no output has a subscriber, so images are not subscribed to"
    if not window.received:
        return DiagnosticStatus.WARN, "no image received"
    if window.warned:
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(window.warned.items()))
        return DiagnosticStatus.WARN, f"{counts}; see the log"
    return DiagnosticStatus.OK, f"{window.processed} of {window.received} frames processed"
