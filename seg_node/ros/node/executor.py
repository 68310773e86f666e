# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""An executor that survives what its callbacks raise.

rclpy's own raises a callback's exception out of `spin`, which ends the process; a message or request that
cannot be taken (MemoryError for a hostile length) blocks its callback group for good; and a service whose
callback raises never answers.
"""

import threading
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node

SPIN_S = 0.5
PAUSE_S = 0.1  # should a fault last, not one after the other

OnFault = Callable[[str, BaseException], None]


class GuardedExecutor(MultiThreadedExecutor):
    """Reports each exception to `on_fault(what, error)` and goes on."""

    def __init__(self, threads: int, on_fault: OnFault, context: Context | None = None) -> None:
        super().__init__(threads, context=context)
        self._on_fault = on_fault
        self._stopping = threading.Event()

    def spin(self) -> None:
        """Serve callbacks until `stop`, or until the context is shut down."""
        while not self._stopping.is_set() and self.context.ok():
            try:
                self.spin_once(timeout_sec=SPIN_S)
            except Exception as error:  # such as an entity destroyed while the wait set was built
                self._on_fault("executor", error)
                self._stopping.wait(PAUSE_S)

    def stop(self) -> None:
        self._stopping.set()
        self.wake()

    # rclpy calls these in a pool thread; what they give back runs the callback.

    def _take_timer(self, entity: Any) -> Any:
        return self._guarded(super()._take_timer, entity)

    def _take_subscription(self, entity: Any) -> Any:
        return self._guarded(super()._take_subscription, entity)

    def _take_client(self, entity: Any) -> Any:
        return self._guarded(super()._take_client, entity)

    def _take_service(self, entity: Any) -> Any:
        return self._guarded(super()._take_service, entity)

    def _take_guard_condition(self, entity: Any) -> Any:
        return self._guarded(super()._take_guard_condition, entity)

    def _take_waitable(self, entity: Any) -> Any:
        return self._guarded(super()._take_waitable, entity)

    def _guarded(self, take: Callable[[Any], Any], entity: Any) -> Any:
        try:
            execute = take(entity)
        except Exception as error:
            self._on_fault(type(entity).__name__, error)
            return None
        if execute is None:
            return None

        async def guarded() -> None:
            try:
                await execute()
            except BaseException as error:  # SystemExit of a library must not end the pool's thread either
                self._on_fault(type(entity).__name__, error)

        return guarded


def guard_services(node: Node, on_fault: OnFault) -> None:
    """Make each present service of the node answer with a refusal when its callback raises."""
    for service in node.services:
        service.callback = _answering(service.callback, service.srv_name, on_fault)


def _answering(
    callback: Callable[[Any, Any], Any], name: str, on_fault: OnFault
) -> Callable[[Any, Any], Any]:
    def answer(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except BaseException as error:
            on_fault(name, error)
            return _refused(request, response, f"{type(error).__name__}: {error}")

    return answer


def _refused(request: Any, response: Any, reason: str) -> Any:
    """Return the response with the reason in the field that its type has for it."""
    fields = response.get_fields_and_field_types()
    if "success" in fields:
        response.success = False
    if "message" in fields:
        response.message = reason
    refusal = SetParametersResult(successful=False, reason=reason)
    if fields.get("result") == "rcl_interfaces/SetParametersResult":
        response.result = refusal
    if fields.get("results") == "sequence<rcl_interfaces/SetParametersResult>":
        missing = len(request.parameters) - len(response.results)
        response.results = [*response.results, *[refusal] * missing]
    return response
