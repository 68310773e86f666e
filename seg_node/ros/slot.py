"""Places between threads that hold only the newest item."""

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestSlots(Generic[T]):
    """One place for each name. `put` never waits and replaces what nobody took; `take` waits for items.

    Names are served in turn: of those with an item, the one served longest ago comes first.
    """

    def __init__(self) -> None:
        self._items: dict[str, T] = {}
        self._held_until: dict[str, float] = {}
        self._served: dict[str, int] = {}
        self._count = 0
        self._changed = threading.Condition()

    def put(self, name: str, item: T) -> T | None:
        """Store the item; gives back the one it replaced, or None."""
        with self._changed:
            replaced = self._items.get(name)
            self._items[name] = item
            self._changed.notify()
        return replaced

    def hold(self, name: str, seconds: float) -> None:
        """Give no item of that name for a while; meanwhile newer ones replace what waits."""
        with self._changed:
            self._held_until[name] = time.monotonic() + seconds

    def take(self, limit: int, timeout_s: float) -> dict[str, T]:
        """Remove and give the items of at most `limit` names; none when none came within the timeout."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not (ready := self._ready()) and (now := time.monotonic()) < deadline:
                held = [until for name in self._items if (until := self._held_until.get(name, 0.0)) > now]
                self._changed.wait(min([deadline, *held]) - now)
            taken = {name: self._items.pop(name) for name in ready[:limit]}
            for name in taken:
                self._count += 1
                self._served[name] = self._count
        return taken

    def clear(self) -> dict[str, T]:
        """Remove and give all items, also those held back."""
        with self._changed:
            items, self._items = self._items, {}
            self._held_until.clear()
        return items

    def _ready(self) -> list[str]:
        now = time.monotonic()
        ready = [name for name in self._items if self._held_until.get(name, 0.0) <= now]
        return sorted(ready, key=lambda name: self._served.get(name, 0))


class NewestSlot(Generic[T]):
    """One such place."""

    def __init__(self) -> None:
        self._slots: NewestSlots[T] = NewestSlots()

    def put(self, item: T) -> T | None:
        """Store the item; gives back the one it replaced, or None."""
        return self._slots.put("", item)

    def take(self, timeout_s: float) -> T | None:
        """Remove and give the newest item, or None when none came within the timeout."""
        return self._slots.take(1, timeout_s).get("")
