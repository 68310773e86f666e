# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The duration of a training, and its learning rate over time."""

import math
from dataclasses import dataclass

_WARM_UP_STEPS, _WARM_UP_PART = 200, 0.05  # the shorter of the two
_LAST = 0.005  # of the peak


@dataclass(frozen=True)
class Schedule:
    """A training's end: a number of steps, or of minutes when steps is None."""

    steps: int | None
    minutes: float | None

    def done(self, step: int, seconds: float) -> float:
        """Return the share that is done, from 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None
        return min(1.0, seconds / (60 * self.minutes))


def learning_rate(peak: float, step: int, done: float) -> float:
    """Return the learning rate: a linear warm-up, then half a cosine down to 0.5 % of the peak."""
    rise = min(1.0, max((step + 1) / _WARM_UP_STEPS, done / _WARM_UP_PART))
    fall = 0.5 + 0.5 * math.cos(math.pi * done)
    return peak * rise * (_LAST + (1 - _LAST) * fall)
