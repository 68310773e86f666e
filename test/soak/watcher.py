# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Samples the node under test: its report on /diagnostics and what the system knows of it."""

import re
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from fuzz.limits import status
from fuzz.target import MEGABYTE
from node_harness import Probe

from soak.process import WatchedNode, connections, shared_memory

PERIOD_S = 1.0
# a line of the node's logger, and how it names an error
_RECORD, _ERROR_NAME = (
    re.compile(r"\[(?:DEBUG|INFO|WARN|ERROR|FATAL)\] \["),
    re.compile(r"\w(?:Error|Exception|Exit)\b"),
)
# of a run: what is first met (sizes, kinds of messages) still needs memory for the first time
WARM_UP = 0.3
PARTS = 20
# frames that are received and neither processed nor dropped yet: waiting, paired, at work
IN_WORK = 5


@dataclass(frozen=True)
class Sample:
    """At one moment. level: of /diagnostics, 0 OK to 2 ERROR; -1 without a report."""

    seconds: float
    received: int
    processed: int
    dropped: int
    level: int
    rss: int
    malloc: int
    shared_memory: int

    @property
    def in_work(self) -> int:
        return self.received - self.processed - self.dropped


class Watcher:
    """Samples in a thread of its own while the context is open."""

    def __init__(self, node: WatchedNode, probe: Probe) -> None:
        """node: active, so that it reports."""
        self.samples: list[Sample] = []
        self.connections: set[str] = set()
        self._node = node
        self._reports: list[DiagnosticArray] = probe.listen(DiagnosticArray, "/diagnostics")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def sample(self) -> Sample:
        """What is known now."""
        pid = self._node.process.pid
        values, level = self._report()
        return Sample(
            time.monotonic(),
            *(int(values.get(name, "0")) for name in ("received", "processed", "dropped")),
            level=level,
            rss=status("VmRSS", pid),
            malloc=self._node.memory().get("malloc", 0),
            shared_memory=shared_memory(pid),
        )

    def _watch(self) -> None:
        while not self._stopping.wait(PERIOD_S) and self._node.is_alive():
            self.connections |= set(connections(self._node.process.pid))
            sample = self.sample()
            if sample.level >= 0 and sample.rss:
                self.samples.append(sample)

    def _report(self) -> tuple[dict[str, str], int]:
        """(values of the node's newest report, its level); others publish on /diagnostics too."""
        for message in reversed(self._reports[-20:]):
            for entry in message.status:
                if entry.name.endswith(": frames"):
                    del self._reports[:-20]
                    return {pair.key: pair.value for pair in entry.values}, entry.level[0]
        return {}, -1

    def lost_balance(self) -> list[Sample]:
        """Samples with frames that nobody counts."""
        return [sample for sample in self.samples if not 0 <= sample.in_work <= IN_WORK]

    def slope_mb_per_1000(self, what: str = "rss") -> float:
        """Growth of the memory per 1000 received frames after the warm-up; 0 of few samples.

        Large images come and go: the least of each part of the run is what the node keeps.
        """
        kept = self.samples[int(len(self.samples) * WARM_UP) :]
        if len(kept) < PARTS:
            return 0.0
        bounds = np.linspace(0, len(kept), PARTS + 1).astype(int)
        parts = [kept[start:end] for start, end in pairwise(bounds)]
        frames = [float(np.mean([sample.received for sample in part])) for part in parts]
        used = [min(getattr(sample, what) for sample in part) for part in parts]
        if np.ptp(frames) == 0:
            return 0.0
        return float(np.polyfit(frames, used, 1)[0] * 1000 / MEGABYTE)


def unexplained_tracebacks(log: str) -> list[str]:
    """Last lines of the tracebacks that are not part of a log record that names their error."""
    found, is_announced = [], False
    lines = log.splitlines()
    for at, line in enumerate(lines):
        if _RECORD.search(line):  # the middleware ends some of its lines without a newline
            is_announced = bool(_ERROR_NAME.search(line))
        elif line.startswith("Exception in thread"):
            is_announced = False
        if "Traceback (most recent call last)" in line and not is_announced:
            found.append(next((text for text in lines[at + 1 :] if not text.startswith((" ", "\t"))), ""))
    return found
