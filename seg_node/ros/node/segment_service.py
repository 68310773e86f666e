# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A service of the worker, such as `~/segment`: a few requests wait for their turn, others are refused."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile

from seg_node.ros.node.receiver import ExternallyPolledGroup, Receiver
from seg_node.srv import Segment

MOST_WAITING = 4  # each holds an image
WAIT_S = 10.0
# Requests that come at once stay in this queue until they are taken; rclpy's own 10 would lose the others.
QUEUE_DEPTH = 32
# A client keeps 10 responses that it has not read yet: refusals that came faster would be lost there.
REFUSAL_PACE_S = 0.01


class SegmentRequest:
    """A client's request; only the first answer is sent."""

    def __init__(self, request: Any, send: Callable[[Any], None], response_type: type[Any]) -> None:
        self.request, self.response_type = request, response_type
        self.came_at = time.monotonic()
        self._send, self._lock, self._answered = send, threading.Lock(), False

    @property
    def answered(self) -> bool:
        return self._answered

    def answer(self, response: Any) -> bool:
        """Send the response; False when another one was sent before."""
        with self._lock:
            if self._answered:
                return False
            self._answered = True
        self._send(response)
        return True

    def refuse(self, reason: str) -> bool:
        return self.answer(self.response_type(success=False, message=reason))


class SegmentService:
    """Receives requests in a thread of its own; the worker takes them one by one."""

    def __init__(
        self,
        node: Node,
        refusal: Callable[[], str | None],
        wake: Callable[[], None],
        on_fault: Callable[[str, BaseException], None],
        name: str = "~/segment",
        service_type: type[Any] = Segment,
    ) -> None:
        """`refusal()`: why there is no model to answer with, or None. `wake()`: a request waits."""
        self._node, self._refusal, self._wake, self._on_fault = node, refusal, wake, on_fault
        self.name, self._type = name, service_type
        self._lock = threading.Lock()
        self._waiting: deque[SegmentRequest] = deque()
        self._in_hand: SegmentRequest | None = None
        self._counts: Counter[str] = Counter()
        self._service = node.create_service(
            service_type,
            name,
            self._on_request,
            qos_profile=QoSProfile(depth=QUEUE_DEPTH),
            callback_group=ExternallyPolledGroup(),
        )
        self._receiver = Receiver([], node.context, self._on_receiver_fault, [self._service], self._expire)

    @property
    def alive(self) -> bool:
        return self._receiver.alive

    def counts(self) -> dict[str, int]:
        """Return the number of requests by outcome: answered, failed, busy, late."""
        with self._lock:
            return dict(self._counts)

    def take(self) -> SegmentRequest | None:
        """Take the request that has waited longest; the caller answers it by `finish`."""
        with self._lock:
            self._in_hand = self._waiting.popleft() if self._waiting else None
            return self._in_hand

    def finish(self, request: SegmentRequest, response: Any) -> None:
        with self._lock:
            self._in_hand = None
            more = bool(self._waiting)
        if more:
            self._wake()
        if self._sent(request.answer, response):
            self._count("answered" if response.success else "failed")

    def refuse_waiting(self, reason: str) -> None:
        """Refuse all that wait, and the one in hand: the model is gone."""
        with self._lock:
            waiting = [*self._waiting, *([self._in_hand] if self._in_hand else [])]
            self._waiting.clear()
        for request in waiting:
            if self._sent(request.refuse, reason):
                self._count("failed")

    def close(self) -> None:
        self._receiver.close()
        self.refuse_waiting("the node stops")

    def _on_request(self, request: Any, header: Any) -> None:
        def send(response: Any) -> None:
            self._service.send_response(response, header)

        arrived = SegmentRequest(request, send, self._type.Response)
        reason = self._refusal()
        if reason is not None:
            self._count("failed")
            arrived.refuse(reason)
            return
        with self._lock:
            busy = len(self._waiting) >= MOST_WAITING
            if not busy:
                self._waiting.append(arrived)
        if busy:
            self._count("busy")
            time.sleep(REFUSAL_PACE_S)
            arrived.refuse(f"busy: {MOST_WAITING} requests wait already; try again later")
        else:
            self._wake()

    def _expire(self) -> None:
        """Refuse what has waited too long: the worker is stuck, or the stream leaves it no time."""
        oldest = time.monotonic() - WAIT_S
        with self._lock:
            waiting = [*self._waiting, *([self._in_hand] if self._in_hand else [])]
            late = [request for request in waiting if request.came_at < oldest and not request.answered]
            self._waiting = deque(request for request in self._waiting if request not in late)
        for request in late:
            if self._sent(request.refuse, f"busy: the model had no answer within {WAIT_S:.0f} s"):
                self._count("late")

    def _sent(self, answer: Callable[[Any], bool], content: Any) -> bool:
        """Send the answer and return whether it went out; a client may be gone."""
        try:
            return answer(content)
        except RuntimeError as error:  # RCLError, InvalidHandle
            self._on_fault(self.name, error)
            return False

    def _on_receiver_fault(self, _: object, error: BaseException | None) -> None:
        if error is not None:
            self._count("failed")
            self._on_fault(self.name, error)

    def _count(self, outcome: str) -> None:
        with self._lock:
            self._counts[outcome] += 1
