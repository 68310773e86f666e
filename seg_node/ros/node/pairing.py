# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Images and depth images of one camera that belong together, by their stamps."""

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Image = TypeVar("Image")
Depth = TypeVar("Depth")

KEPT_DEPTHS = 4  # more than a camera sends ahead of its colour; each is megabytes
LONGEST_WAIT_S = 1.0  # for depth, where no newer image ends the waiting; more than stereo takes


class PairByStamp(Generic[Image, Depth]):
    """Pairs each image with the nearest depth image within `slop_s`, or with None. Not thread-safe.

    An image waits for its depth, and goes on alone when a newer image comes, or depth that is newer than its
    stamp + slop: it never waits longer than a frame; where the camera stops, LONGEST_WAIT_S (`overdue`).
    Every image comes out once, each depth image at most once; whoever ends the stream takes what still waits
    (`give_up`). A stamp older than the one before it begins a new sequence, such as a bag that starts again:
    depth kept from before does not count any more.

    slop_s: largest difference of stamps, seconds; below half a frame period, or neighbours are taken.
    clock: steady seconds.
    """

    def __init__(self, slop_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        if not slop_s >= 0:
            raise ValueError(f"slop_s is {slop_s}; set it to 0 or more seconds")
        self._slop_ns, self._clock = round(slop_s * 1e9), clock
        self._waiting_since = 0.0
        self._waiting: tuple[Image, int] | None = None
        self._last_image_ns = 0
        self._depths: deque[tuple[Depth, int]] = deque(maxlen=KEPT_DEPTHS)

    def add_image(self, image: Image, stamp_ns: int) -> list[tuple[Image, Depth | None]]:
        """Return the pairs that are now complete, oldest first: at most two."""
        alone: list[tuple[Image, Depth | None]] = [(self._waiting[0], None)] if self._waiting else []
        if stamp_ns < self._last_image_ns:
            self._forget_depths_after(stamp_ns + self._slop_ns)
        self._waiting, self._last_image_ns = (image, stamp_ns), stamp_ns
        self._waiting_since = self._clock()
        return alone + self._take()

    def add_depth(self, depth: Depth, stamp_ns: int) -> list[tuple[Image, Depth | None]]:
        """Return the pair that is now complete: the image that waited, or none."""
        self._forget_depths_after(stamp_ns)
        self._depths.append((depth, stamp_ns))
        return self._take()

    def give_up(self) -> list[tuple[Image, Depth | None]]:
        """Return the image that waits, if any, without depth."""
        waiting, self._waiting = self._waiting, None
        return [] if waiting is None else [(waiting[0], None)]

    def overdue(self) -> list[tuple[Image, Depth | None]]:
        """Return an image that has waited LONGEST_WAIT_S, without depth; call it several times a second."""
        return self.give_up() if self._clock() - self._waiting_since >= LONGEST_WAIT_S else []

    def _forget_depths_after(self, stamp_ns: int) -> None:
        while self._depths and self._depths[-1][1] > stamp_ns:
            self._depths.pop()

    def _take(self) -> list[tuple[Image, Depth | None]]:
        if self._waiting is None or not self._depths:
            return []
        image, stamp_ns = self._waiting
        depth, nearest_ns = min(self._depths, key=lambda entry: abs(entry[1] - stamp_ns))
        if abs(nearest_ns - stamp_ns) <= self._slop_ns:
            while self._depths[0][1] < nearest_ns:
                self._depths.popleft()
            self._depths.popleft()
            self._waiting = None
            return [(image, depth)]
        if self._depths[-1][1] > stamp_ns + self._slop_ns:
            self._waiting = None
            return [(image, None)]
        return []
