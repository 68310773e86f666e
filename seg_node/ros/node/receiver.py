# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that only receives images, or `~/segment` requests.

For every image an executor polls all services, timers and events of its node, in Python: 1.3 ms. The wait
set here holds the entities of one camera: 0.1 ms. (rclpy's experimental EventsExecutor is as quick, but
crashes when subscriptions with events are destroyed, as each deactivation does:
github.com/ros2/rclpy/issues/1644.)
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.impl.implementation_singleton import rclpy_implementation as rcl
from rclpy.service import Service
from rclpy.subscription import Subscription

WAIT_S = 0.1


class ExternallyPolledGroup(CallbackGroup):
    """Keeps a receiver's entities and their events away from the node's executor."""

    def can_execute(self, entity: object) -> bool:
        return False

    def beginning_execution(self, entity: object) -> bool:
        return False

    def ending_execution(self, entity: object) -> None:
        return None


class Receiver:
    """Calls the callbacks of subscriptions, of their events and of services in its own thread."""

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        context: Context,
        on_fault: Callable[[Subscription | None, BaseException | None], None],
        services: Sequence[Service] = (),
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        """subscriptions, services: of an `ExternallyPolledGroup`; the first one with a message goes first.

        A service's callback takes the request and its header, and sends the response itself.
        `on_fault(subscription, error)`: something raised (subscription None: not one's callback), or (error
        None) the middleware could not read a message; the next one is waited for.
        `on_turn` is called after each wait, at least every 0.1 s.
        """
        self._subscriptions, self._services = tuple(subscriptions), tuple(services)
        self._context, self._on_fault, self._on_turn = context, on_fault, on_turn
        self._events: list[Any] = [handler for found in subscriptions for handler in found.event_handlers]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="receiver", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self, timeout_s: float = 1.0) -> bool:
        """Stop: no callback begins afterwards; returns False when one is still running after the time."""
        self._stopping.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _receive(self) -> None:
        with ExitStack() as in_use:  # destroyed entities live on until this thread has left them
            for entity in [*self._subscriptions, *self._services]:
                in_use.enter_context(entity.handle)
            for event in self._events:
                in_use.enter_context(event)
            # as rclpy.wait_for_message does it
            wait_set = rcl.WaitSet(
                len(self._subscriptions),
                0,
                0,
                0,
                len(self._services),
                len(self._events),
                self._context.handle,
            )
            while not self._stopping.is_set() and self._context.ok():
                try:
                    self._wait(wait_set)
                except BaseException as error:  # costs itself, not the thread
                    self._on_fault(None, error)
                    self._stopping.wait(WAIT_S)  # should the fault last, not one after the other

    def _wait(self, wait_set: Any) -> None:
        wait_set.clear_entities()
        for subscription in self._subscriptions:
            wait_set.add_subscription(subscription.handle)
        for service in self._services:
            wait_set.add_service(service.handle)
        for event in self._events:
            event.add_to_wait_set(wait_set)
        wait_set.wait(int(WAIT_S * 1e9))
        if self._stopping.is_set():
            return
        for event in self._events:
            if event.is_ready(wait_set) and (happened := event.take_data()):
                event.callback(happened)
        self._take_messages(set(wait_set.get_ready_entities("subscription")))
        self._take_requests(set(wait_set.get_ready_entities("service")))
        self._on_turn()

    def _take_messages(self, ready: set[int]) -> None:
        for subscription in self._subscriptions:
            if subscription.handle.pointer not in ready:
                continue
            try:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is None:
                    self._on_fault(subscription, None)
                else:
                    subscription.callback(taken[0])
            except BaseException as error:
                self._on_fault(subscription, error)

    def _take_requests(self, ready: set[int]) -> None:
        for service in self._services:
            if service.handle.pointer not in ready:
                continue
            request, header = service.handle.service_take_request(service.srv_type.Request)
            if header is not None:
                service.callback(request, header)
