"""One place between two threads that holds only the newest item."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestSlot(Generic[T]):
    """`put` never waits and replaces what nobody took; `take` waits for an item."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._filled = threading.Condition()

    def put(self, item: T) -> T | None:
        """Store the item; gives back the one it replaced, or None."""
        with self._filled:
            replaced, self._item = self._item, item
            self._filled.notify()
        return replaced

    def take(self, timeout_s: float) -> T | None:
        """Remove and give the newest item, or None when none came within the timeout."""
        with self._filled:
            self._filled.wait_for(lambda: self._item is not None, timeout_s)
            item, self._item = self._item, None
        return item
