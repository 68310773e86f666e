"""Images and depth images of one camera that belong together, by their stamps."""

from collections import deque
from typing import Generic, TypeVar

Image = TypeVar("Image")
Depth = TypeVar("Depth")

KEPT_DEPTHS = 4  # more than a camera sends ahead of its colour; each is megabytes


class PairByStamp(Generic[Image, Depth]):
    """Gives each image on with the nearest depth image within `slop_s`, or with None. Not thread-safe.

    An image waits for its depth, and goes on alone when a newer image comes, or depth that is newer than its
    stamp + slop: it never waits longer than a frame. Every image comes out once, each depth image at most
    once. A stamp older than the one before it begins a new sequence, such as a bag that starts again: depth
    kept from before does not count any more.

    slop_s: largest difference of stamps, seconds; below half a frame period, or neighbours are taken.
    """

    def __init__(self, slop_s: float) -> None:
        if not slop_s >= 0:
            raise ValueError(f"slop_s is {slop_s}; set it to 0 or more seconds")
        self._slop_ns = round(slop_s * 1e9)
        self._waiting: tuple[Image, int] | None = None
        self._last_image_ns = 0
        self._depths: deque[tuple[Depth, int]] = deque(maxlen=KEPT_DEPTHS)

    def add_image(self, image: Image, stamp_ns: int) -> list[tuple[Image, Depth | None]]:
        """What became ready, oldest first: at most the image that waited and this one."""
        alone: list[tuple[Image, Depth | None]] = [(self._waiting[0], None)] if self._waiting else []
        if stamp_ns < self._last_image_ns:
            self._forget_depths_after(stamp_ns + self._slop_ns)
        self._waiting, self._last_image_ns = (image, stamp_ns), stamp_ns
        return alone + self._take()

    def add_depth(self, depth: Depth, stamp_ns: int) -> list[tuple[Image, Depth | None]]:
        """What became ready: the image that waits, or nothing."""
        self._forget_depths_after(stamp_ns)
        self._depths.append((depth, stamp_ns))
        return self._take()

    @property
    def waiting(self) -> Image | None:
        """The image that waits for its depth."""
        return None if self._waiting is None else self._waiting[0]

    def give_up(self) -> list[tuple[Image, Depth | None]]:
        """The image that waits, if any, without depth: none will come."""
        waiting, self._waiting = self._waiting, None
        return [] if waiting is None else [(waiting[0], None)]

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
