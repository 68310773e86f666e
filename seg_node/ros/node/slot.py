# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Slots between threads that hold only the newest item."""

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestSlots(Generic[T]):
    """One slot for each name. `put` replaces an item that was not taken, and never waits.

    Names are served in turn: of those with an item, the one served longest ago comes first.
    """

    def __init__(self) -> None:
        self._items: dict[str, T] = {}
        self._taken_at: dict[str, float] = {}
        self._woken = False
        self._changed = threading.Condition()

    def put(self, name: str, item: T) -> T | None:
        """Store the item; returns the one it replaced, or None."""
        with self._changed:
            replaced = self._items.get(name)
            self._items[name] = item
            self._changed.notify()
        return replaced

    def wake(self) -> None:
        """End the present `wait`, or else the next one: there is other work."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def wait(self, timeout_s: float, interval_s: float = 0.0) -> bool:
        """Wait until `take` would return something or `wake` is called; False at the timeout.

        interval_s: a name gives no item until so long after its last one; meanwhile newer items replace what
        waits.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._ready(interval_s) and not self._woken:
                now = time.monotonic()
                if now >= deadline:
                    return False
                due = [self._taken_at[name] + interval_s for name in self._items if name in self._taken_at]
                self._changed.wait(max(min([deadline, *due]) - now, 0.0))
            self._woken = False
        return True

    def take(self, limit: int, interval_s: float = 0.0) -> dict[str, T]:
        """Remove and return the items of at most `limit` names, without waiting."""
        with self._changed:
            taken = {name: self._items.pop(name) for name in self._ready(interval_s)[:limit]}
            for name in taken:
                self._taken_at[name] = time.monotonic()
        return taken

    def clear(self) -> dict[str, T]:
        """Remove and return all items."""
        with self._changed:
            items, self._items = self._items, {}
            self._taken_at.clear()
        return items

    def _ready(self, interval_s: float) -> list[str]:
        latest = time.monotonic() - interval_s
        taken_at = {name: self._taken_at.get(name, float("-inf")) for name in self._items}
        ready = [name for name, at in taken_at.items() if at <= latest]
        return sorted(ready, key=taken_at.__getitem__)


class NewestSlot(Generic[T]):
    """NewestSlots with a single slot."""

    def __init__(self) -> None:
        self._slots: NewestSlots[T] = NewestSlots()

    def put(self, item: T) -> T | None:
        """Store the item; returns the one it replaced, or None."""
        return self._slots.put("", item)

    def take(self, timeout_s: float) -> T | None:
        """Remove and return the newest item, or None when none came within the timeout."""
        return self._slots.take(1).get("") if self._slots.wait(timeout_s) else None
