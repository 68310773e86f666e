# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Find lost packets by what messages say about them: a count, or stamps at an even distance."""

from collections import deque
from statistics import median

from seg_node.video.packet import VideoPacket

_COUNTED = 3  # steps of exactly 1, before the count is trusted
_REORDERED = 16  # steps back up to here are B-frames, larger ones another start of the sender
_STEPS = 8  # whose median is the usual distance of two stamps
_ENOUGH_STEPS = 4
_GAP = 1.75  # usual distances
# H.264 and H.265 show a loss themselves, and their stamps go back where there are B-frames.
_WITHOUT_NUMBERS = frozenset({"vp9", "av1"})


class Continuity:
    """Watches the packets of one stream, those that are not decoded too."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._counted: int | None = 0  # steps of 1 in a row; None: the count is no count
        self._stamp_ns: int | None = None
        self._steps_ns: deque[int] = deque(maxlen=_STEPS)
        self._transport_lost = False

    def note_loss(self) -> None:
        """Note that the transport reported a loss before the next packet."""
        self._transport_lost = True

    def lost(self, packet: VideoPacket) -> str:
        """Return why packets before this one must be missing, or ""."""
        by_count = self._lost_by_count(packet.count)
        by_stamp = self._lost_by_stamp(packet.stamp_ns)
        if self._transport_lost:
            by_stamp = "the middleware reports it"
        self._transport_lost = False
        is_counted = bool(self._counted) or bool(by_count)
        return by_count or (by_stamp if packet.codec in _WITHOUT_NUMBERS and not is_counted else "")

    def _lost_by_count(self, count: int | None) -> str:
        before, self._count = self._count, count
        if count is None or before is None or self._counted is None:
            return ""
        step = count - before
        if step == 1:
            self._counted += 1
        elif -_REORDERED <= step < 0:
            self._counted = None
        else:
            is_loss, self._counted = step > 1 and self._counted >= _COUNTED, 0
            if is_loss:
                self._counted = _COUNTED  # another loss may follow at once
                return f"pts is {count} after {before}"
        return ""

    def _lost_by_stamp(self, stamp_ns: int) -> str:
        before_ns, self._stamp_ns = self._stamp_ns, stamp_ns
        if before_ns is None:
            return ""
        step_ns = stamp_ns - before_ns
        usual_ns = median(self._steps_ns) if len(self._steps_ns) >= _ENOUGH_STEPS else 0
        self._steps_ns.append(step_ns)
        if 0 < usual_ns * _GAP < step_ns:
            return f"its stamp is {step_ns / 1e6:.0f} ms after the last one, instead of {usual_ns / 1e6:.0f}"
        return ""
