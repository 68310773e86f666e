# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Times of repeated calls that end on the host."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpu_check.setting import Setting

_FEWEST = 3


def milliseconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def repeated(run: Callable[[], Any], setting: Setting, seconds: float, count: int = 300) -> dict[str, float]:
    """p50_ms, p90_ms and how many runs, after two that are not counted."""
    if setting.pretend:
        seconds, count = 0.0, _FEWEST
    for _ in range(2):
        run()
    times: list[float] = []
    end = time.monotonic() + seconds
    while len(times) < _FEWEST or (len(times) < count and time.monotonic() < end):
        times.append(milliseconds(run))
    return {**percentiles(times), "runs": len(times)}


def percentiles(times: Sequence[float]) -> dict[str, float]:
    p50, p90 = np.percentile(times, (50, 90)).tolist()
    return {"p50_ms": p50, "p90_ms": p90}
