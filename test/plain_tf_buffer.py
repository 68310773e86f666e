"""A slow, plain tf2 buffer of one link: what tf2_ros.Buffer keeps, refuses and says no to, without tf2."""

import copy
from bisect import insort

from geometry_msgs.msg import TransformStamped
from rclpy.time import Time

CACHE_NS = 10_000_000_000


class NoTransform(Exception):
    """As tf2_ros.TransformException."""


def stamp_ns(transform: TransformStamped) -> int:
    return int(transform.header.stamp.sec * 10**9 + transform.header.stamp.nanosec)


class PlainBuffer:
    """x of the translation between two frames that are parent and child; everything else as it was sent."""

    def __init__(self) -> None:
        self._moving: dict[str, list[tuple[int, float]]] = {}
        self._latest: dict[str, TransformStamped] = {}
        self._static: dict[str, TransformStamped] = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        known = self._moving.setdefault(transform.child_frame_id, [])
        if known and stamp_ns(transform) < known[-1][0] - CACHE_NS:
            return
        insort(known, (stamp_ns(transform), transform.transform.translation.x))
        self._latest[transform.child_frame_id] = transform

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        self._static[transform.child_frame_id] = transform

    def clear(self) -> None:
        self._moving.clear()

    def lookup_transform(self, target: str, source: str, time: Time) -> TransformStamped:
        if source in self._static:
            return self._static[source]
        known, at = self._moving.get(source, []), time.nanoseconds
        before = [entry for entry in known if entry[0] <= at] if at else known
        after = [entry for entry in known if entry[0] >= at]
        if not before or not after:
            raise NoTransform(f"no {source} in {target} at {at}")
        (start, x), (end, x_end) = (before[-1], after[0]) if at else (known[-1], known[-1])
        found = copy.deepcopy(self._latest[source])
        found.transform.translation.x = x + (x_end - x) * (at - start) / max(end - start, 1)
        return found
