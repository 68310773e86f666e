# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Calls of a ROS 2 service that count what was answered."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from node_harness import Probe
from rclpy.qos import QoSProfile

ANSWER_S = 60.0
QUEUE_DEPTH = 100  # rclpy's own 10 would lose answers that come together


class Client:
    """Calls services of the node, up to so many at once, and counts the answers.

    counts: "sent", "answered", and what `note` says of each answer.
    """

    def __init__(self, probe: Probe, at_once: int) -> None:
        self.counts: Counter[str] = Counter()
        self._probe, self._clients = probe, {}
        self._free = threading.Semaphore(at_once)
        self._at_once = at_once

    def call(
        self, service_type: type[Any], name: str, request: Any, note: Callable[[Any], str] | None = None
    ) -> bool:
        """Sends the request as soon as there are fewer than so many calls; False when none ends in time."""
        if not self._free.acquire(timeout=ANSWER_S):
            return False
        if name not in self._clients:
            self._clients[name] = self._probe.node.create_client(
                service_type, name, qos_profile=QoSProfile(depth=QUEUE_DEPTH)
            )
            if not self._clients[name].wait_for_service(ANSWER_S):
                return False
        self.counts["sent"] += 1
        future = self._clients[name].call_async(request)
        future.add_done_callback(lambda done: self._answered(done.result(), note))
        return True

    def _answered(self, answer: Any, note: Callable[[Any], str] | None) -> None:
        self.counts["answered"] += 1
        if note is not None:
            self.counts[note(answer)] += 1
        self._free.release()

    def wait(self) -> int:
        """The number of calls without an answer, once all are answered or it takes too long."""
        end = time.monotonic() + ANSWER_S
        while self.counts["answered"] < self.counts["sent"] and time.monotonic() < end:
            time.sleep(0.02)
        return self.counts["sent"] - self.counts["answered"]
