# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A slow, plain tf2 buffer: what tf2_ros.Buffer keeps, refuses and says no to, without tf2."""

import copy
from bisect import insort

import numpy as np
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from numpy.typing import NDArray
from rclpy.time import Time
from scipy.spatial.transform import Rotation

CACHE_NS = 10_000_000_000
Shift = tuple[float, float, float]


class NoTransform(Exception):
    """As tf2_ros.TransformException."""


def stamp_ns(transform: TransformStamped) -> int:
    return int(transform.header.stamp.sec * 10**9 + transform.header.stamp.nanosec)


class PlainBuffer:
    """From a frame up to one of its ancestors; rotations are the newest sent, shifts are interpolated."""

    def __init__(self) -> None:
        self._moving: dict[str, list[tuple[int, Shift]]] = {}
        self._latest: dict[str, TransformStamped] = {}
        self._static: dict[str, TransformStamped] = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        known = self._moving.setdefault(transform.child_frame_id, [])
        if known and stamp_ns(transform) < known[-1][0] - CACHE_NS:
            return
        shift = transform.transform.translation
        insort(known, (stamp_ns(transform), (shift.x, shift.y, shift.z)))
        self._latest[transform.child_frame_id] = transform

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        self._static[transform.child_frame_id] = transform

    def clear(self) -> None:
        self._moving.clear()

    def lookup_transform(self, target: str, source: str, time: Time) -> TransformStamped:
        found = self._link(source, time.nanoseconds)
        while found.header.frame_id != target:
            found = _joined(found, self._link(found.header.frame_id, time.nanoseconds))
        return found

    def _link(self, child: str, at: int) -> TransformStamped:
        """From the child to its parent. at: nanoseconds; 0: the newest."""
        if child in self._static:
            return self._static[child]
        known = self._moving.get(child, [])
        before = [entry for entry in known if entry[0] <= at] if at else known
        after = [entry for entry in known if entry[0] >= at]
        if not before or not after:
            raise NoTransform(f"no {child} at {at}")
        (start, low), (end, high) = (before[-1], after[0]) if at else (known[-1], known[-1])
        part = (at - start) / max(end - start, 1) if at else 0.0
        x, y, z = (a + (b - a) * part for a, b in zip(low, high, strict=True))
        found = copy.deepcopy(self._latest[child])
        found.transform.translation = Vector3(x=x, y=y, z=z)
        return found


def _joined(first: TransformStamped, then: TransformStamped) -> TransformStamped:
    """From the first one's child to the other's parent."""
    turn, shift = _parts(first)
    next_turn, next_shift = _parts(then)
    joined = TransformStamped(header=then.header, child_frame_id=first.child_frame_id)
    x, y, z = (next_turn.apply(shift) + next_shift).tolist()
    joined.transform.translation = Vector3(x=x, y=y, z=z)
    x, y, z, w = (next_turn * turn).as_quat().tolist()
    joined.transform.rotation = Quaternion(x=x, y=y, z=z, w=w)
    return joined


def _parts(transform: TransformStamped) -> tuple[Rotation, NDArray[np.float64]]:
    turn, shift = transform.transform.rotation, transform.transform.translation
    return Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]), np.array([shift.x, shift.y, shift.z])
