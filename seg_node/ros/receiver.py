"""A thread that only receives: the way of an image into the node.

An executor asks all services, timers and events of its node about every image, in Python: 1.3 ms. The wait
set here holds the subscriptions of one camera: 0.1 ms. (rclpy's experimental EventsExecutor is as quick, but
crashes when subscriptions with events are destroyed, as each deactivation does:
github.com/ros2/rclpy/issues/1644.)
"""

import threading
from collections.abc import Callable, Sequence

from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.impl.implementation_singleton import rclpy_implementation as rcl
from rclpy.subscription import Subscription

WAIT_S = 0.1


class ReceivedElsewhere(CallbackGroup):
    """For a receiver's subscriptions: the node's executor leaves them alone, but serves their events."""

    def can_execute(self, entity: object) -> bool:
        return not isinstance(entity, Subscription)

    def beginning_execution(self, entity: object) -> bool:
        return self.can_execute(entity)

    def ending_execution(self, entity: object) -> None:
        return None


class Receiver:
    """Calls the subscriptions' callbacks in its own thread, one message at a time."""

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        context: Context,
        on_fault: Callable[[str], None],
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        """subscriptions: of the group `ReceivedElsewhere`. Of those with a message the first is served first.

        `on_fault(text)` is called when a message could not be received; the next one is waited for.
        `on_turn()` is called after each wait, at least every WAIT_S.
        """
        self._on_turn = on_turn
        self._subscriptions, self._context, self._on_fault = tuple(subscriptions), context, on_fault
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="receiver", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No callback runs afterwards; then the subscriptions may be destroyed."""
        self._stopping.set()
        self._thread.join()

    def _receive(self) -> None:
        # as rclpy.wait_for_message does it
        wait_set = rcl.WaitSet(len(self._subscriptions), 0, 0, 0, 0, 0, self._context.handle)
        while not self._stopping.is_set() and self._context.ok():
            try:
                wait_set.clear_entities()
                for subscription in self._subscriptions:
                    wait_set.add_subscription(subscription.handle)
                wait_set.wait(int(WAIT_S * 1e9))
                self._take(set(wait_set.get_ready_entities("subscription")))
                self._on_turn()
            except Exception as error:  # a message that cannot be read costs itself, not the thread
                self._on_fault(f"{type(error).__name__}: {error}")
                self._stopping.wait(WAIT_S)  # should the fault last, not one after the other

    def _take(self, ready: set[int]) -> None:
        for subscription in self._subscriptions:
            if subscription.handle.pointer in ready:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is not None:
                    subscription.callback(taken[0])
