# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checks the order of image stamps: a bad one costs its own frame, not the good ones after it."""

from builtin_interfaces.msg import Time

from seg_node.ros.messages.convert import stamp_to_ns

JUMP_NS = 1_000_000_000  # a stamp so far ahead may be a single bad one
GAP_NS = 5_000_000_000  # and so much later the good ones may go on
LAST_SECOND = 2**31 - 1  # what a driver sends that has no time: -1, or all bits


class StampOrder:
    """Refuses a frame that is older than its predecessor. Not thread-safe.

    After a jump ahead the stamps before it are still remembered: when they go on, the jump was a fault. After
    a step back, as of a bag that starts again, one frame is refused and the next is served.
    """

    def __init__(self) -> None:
        self._last_ns = 0
        self._before_jump_ns: int | None = None
        self._refused_ns: int | None = None

    def refusal(self, stamp: Time) -> tuple[str, str] | None:
        """Return reason and text when the frame is to be dropped; None when it is served, as with stamp 0."""
        if not 0 <= stamp.sec < LAST_SECOND or stamp.nanosec >= 1_000_000_000:
            text = f"image stamp is {stamp.sec} s {stamp.nanosec} ns: let the camera driver set it"
            return "bad_stamp", text
        stamp_ns = stamp_to_ns(stamp)
        if stamp_ns == 0:
            return None
        if stamp_ns < self._last_ns and not self._goes_on(stamp_ns):
            self._refused_ns = stamp_ns
            text = f"image stamp {stamp_ns} ns is older than the one before ({self._last_ns} ns)"
            return "stamp_backwards", text
        jumped = self._last_ns and stamp_ns - self._last_ns > JUMP_NS
        self._before_jump_ns = self._last_ns if jumped else None
        self._last_ns, self._refused_ns = stamp_ns, None
        return None

    def _goes_on(self, stamp_ns: int) -> bool:
        """Return whether it continues the sequence before a jump, or one begun by a refused frame."""
        before_ns, refused_ns = self._before_jump_ns, self._refused_ns
        if before_ns is not None and before_ns <= stamp_ns <= before_ns + GAP_NS:
            return True
        return refused_ns is not None and stamp_ns >= refused_ns
