# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that clients cannot break: one at a time, and only those that apply.

rclpy hands a request straight to the state machine, which raises for a transition that does not exist in the
present state, and takes the internal ones ("on_configure_success") from anybody while a transition runs.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode

WAIT_S = 2.0  # longer than the node's own changes between transitions take


class Transitions:
    """Guards `~/change_state` of a lifecycle node and serialises transitions from other threads."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._lock = threading.Lock()
        service = node._service_change_state
        self._change_state = service.callback
        service.callback = self._on_request
        # Loading a model takes seconds: parameters and other services are answered meanwhile.
        service.callback_group = MutuallyExclusiveCallbackGroup()
        service.callback_group.add_entity(service)

    @contextmanager
    def exclusive(self, timeout_s: float) -> Iterator[bool]:
        """Hold off other transitions; yields False when one is still under way after the time."""
        acquired = self._lock.acquire(timeout=timeout_s)
        try:
            yield acquired
        finally:
            if acquired:
                self._lock.release()

    def _on_request(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        with self.exclusive(WAIT_S) as alone:
            refusal = self._refusal(request) if alone else "another transition is under way"
            if refusal is None:
                return self._change_state(request, response)
        wanted = request.transition.label or request.transition.id
        self._node.get_logger().warning(f"transition {str(wanted)[:40]!r} refused: {refusal}")
        response.success = False
        return response

    def _refusal(self, request: ChangeState.Request) -> str | None:
        """Return why the transition does not apply in the present state; None when it does."""
        available = self._node._state_machine.available_transitions
        label = request.transition.label
        if any(label == entry[1] if label else request.transition.id == entry[0] for entry in available):
            return None
        state = self._node._state_machine.current_state[1]
        return f"in state {state} there are: {', '.join(str(entry[1]) for entry in available) or 'none'}"
