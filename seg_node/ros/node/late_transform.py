# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects that wait for TF, which comes a little after the images, without delaying the frames."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from seg_node.ros.node.locate import NotLocated

TF_WAIT_S = 0.2  # what is later counts as missing
POLL_S = 0.01
KEPT = 8  # images; each may be megabytes

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Waiting(Generic[Item]):
    item: Item
    until: float
    error: NotLocated


class LateTransforms(Generic[Item]):
    """Moves items of one camera into the target frame, as soon as TF has the transform. Not thread-safe.

    Of the KEPT newest each waits at most TF_WAIT_S. Every item comes out once: moved, or as the error.
    """

    def __init__(self, move: Callable[[Item], Item]) -> None:
        """move: raises NotLocated; it is retried for the reason no_transform."""
        self._move = move
        self._waiting: deque[_Waiting[Item]] = deque()
        self._crowded_out: list[NotLocated] = []

    @property
    def next_poll_s(self) -> float | None:
        """Seconds until `poll` should be called again; None: nothing waits."""
        return POLL_S if self._waiting or self._crowded_out else None

    def offer(self, item: Item, now: float) -> Item | None:
        """Move the item; None: it waits, and `poll` returns it later. now: seconds of a steady clock.

        Raises NotLocated where waiting does not help.
        """
        try:
            return self._move(item)
        except NotLocated as error:
            if error.reason != "no_transform":
                raise
            self._waiting.append(_Waiting(item, now + TF_WAIT_S, error))
        if len(self._waiting) > KEPT:
            self._crowded_out.append(self._waiting.popleft().error)
        return None

    def poll(self, now: float) -> list[Item | NotLocated]:
        """Return the outcomes since the last call, oldest first; now = infinity ends all waiting."""
        outcomes: list[Item | NotLocated] = [*self._crowded_out]
        self._crowded_out.clear()
        for _ in range(len(self._waiting)):
            waiting = self._waiting.popleft()
            try:
                outcomes.append(self._move(waiting.item))
            except NotLocated as error:
                if error.reason == "no_transform" and now < waiting.until:
                    self._waiting.append(waiting)
                else:
                    outcomes.append(error)
        return outcomes
