# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The frames of one camera that the worker has taken: each outcome is counted once."""

import threading
from collections.abc import Mapping

from seg_node.errors import Refused
from seg_node.ros.node.diagnostics import FrameStatistics
from seg_node.ros.node.faults import Faults
from seg_node.ros.node.inputs import Arrival


class FramesInHand:
    """Counts a frame by the worker's outcome, or as abandoned when the node no longer waits for it.

    Whoever is first counts; a worker that was stuck may come back later.
    """

    def __init__(self, statistics: FrameStatistics, faults: Faults) -> None:
        self._statistics, self._faults = statistics, faults
        self._open: set[Arrival] = set()
        self._lock = threading.Lock()

    def __contains__(self, arrival: Arrival) -> bool:
        with self._lock:
            return arrival in self._open

    def add(self, arrival: Arrival) -> None:
        with self._lock:
            self._open.add(arrival)

    def processed(self, arrival: Arrival, milliseconds: Mapping[str, float]) -> None:
        """Count a published frame; milliseconds: by stage name."""
        if self._close(arrival):
            self._statistics.processed(milliseconds)

    def unwanted(self, arrival: Arrival, reason: str) -> None:
        """Count a frame that gives no result by design."""
        if self._close(arrival):
            self._statistics.dropped(reason)

    def failed(self, arrival: Arrival, topic: str, error: BaseException) -> None:
        """Count and log a frame that an error costs: under its reason, or as `failed` with its traceback."""
        if not self._close(arrival):
            return
        if isinstance(error, Refused):
            self._faults.drop(error.reason, f"{topic}: {error}")
        else:
            self._faults.drop("failed", f"{topic}: {type(error).__name__}: {error}", unforeseen=error)

    def abandon(self) -> int:
        """Count all frames as dropped: the worker is stuck. Returns how many."""
        with self._lock:
            abandoned, self._open = len(self._open), set()
        for _ in range(abandoned):
            self._statistics.dropped("abandoned", bad=True)
        return abandoned

    def _close(self, arrival: Arrival) -> bool:
        """Return whether the frame's outcome was still open; it is the caller's to count."""
        with self._lock:
            if arrival not in self._open:
                return False
            self._open.remove(arrival)
            return True
