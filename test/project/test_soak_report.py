# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What a long run counts as a failure, on figures made up here."""

import copy
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from soak.report import failures, markdown
from soak.watcher import Sample, Watcher, unexplained_tracebacks

STREAM: dict[str, Any] = {
    "stream": "raw",
    "clients": [{"client": "camera", "good": 3000, "hostile": 2000}],
    "samples": 60,
    "last": {"received": 25000, "processed": 2000, "dropped": 23000, "in_work": 0},
    "rss_slope_mb_per_1000": 0.1,
    "problems": [],
}
STORM: dict[str, Any] = {
    "storm": "segment",
    "clients": [{"client": "storm", "sent": 10, "answered": 10, "refused": 3, "unanswered": 0}],
    "samples": 5,
    "last": {"received": 0, "processed": 0, "dropped": 0, "in_work": 0},
    "rss_slope_mb_per_1000": 900.0,  # of no frames at all
    "problems": [],
}
FUZZ: dict[str, Any] = {"target": "mask", "kind": "made", "inputs": 100_000, "refused": 9, "faults": []}
PASSED: dict[str, Any] = {
    "date": "today",
    "seg_node": "1",
    "seed": 0,
    "hours": 1.0,
    "fuzz": [FUZZ],
    "streams": [STREAM],
    "requests": [STORM],
}


def test_a_good_run_has_no_failures() -> None:
    assert failures(PASSED) == []
    table = markdown(PASSED)
    assert "| mask | 100000 | made | 9 | 0 |" in table
    assert "| raw | 3000 | 2000 | 25000 | 2000 | 23000 | 0 | 0.1 |" in table
    assert "| segment | 10 | 10 | 3 | 0 |" in table
    assert table.endswith("Passed.\n")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda run: run["fuzz"][0].update(inputs=99_999), "only 99999 inputs"),
        (lambda run: run["streams"][0].update(problems=["the node ended"]), "stream raw: the node ended"),
        (lambda run: run["streams"][0].update(rss_slope_mb_per_1000=0.2), "grows by 0.2 MB"),
        (lambda run: run["requests"][0]["clients"][0].update(unanswered=1), "1 calls without an answer"),
        (
            lambda run: run["fuzz"][0]["faults"].append({"kind": "SIGSEGV", "place": "a.py:1", "input": 7}),
            "mask: SIGSEGV at a.py:1, input 7",
        ),
    ],
)
def test_every_criterion_can_fail(spoil: Callable[[Any], object], text: str) -> None:
    run = copy.deepcopy(PASSED)
    spoil(run)
    (failure,) = failures(run)
    assert text in failure
    assert "1 failures" in markdown(run)


RECORD = "[ERROR] [12.5] [seg_node]: callback failed: KeyError: 'a'"
TRACE = "Traceback (most recent call last):\n  File 'a.py', line 1\nKeyError: 'a'"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("[INFO] [1.0] [seg_node]: active", []),
        (f"{RECORD}\n{TRACE}", []),
        (f"{RECORD}\nMemoryError\n\nThe above exception was the direct cause of it:\n\n{TRACE}", []),
        (f"[INFO] [1.0] [seg_node]: active\n{TRACE}", ["KeyError: 'a'"]),
        (f"{RECORD}\n{TRACE}\n[INFO] [1.0] [seg_node]: active\n{TRACE}", ["KeyError: 'a'"]),
        (f"{RECORD}\nException in thread worker:\n{TRACE}", ["KeyError: 'a'"]),
    ],
)
def test_only_tracebacks_that_the_log_announces_are_explained(log: str, expected: list[str]) -> None:
    assert unexplained_tracebacks(log) == expected


@pytest.mark.parametrize(("per_frame", "expected"), [(0, 0.0), (1 << 10, 1000 / 1024)])
def test_memory_that_comes_and_goes_is_no_growth(per_frame: int, expected: float) -> None:
    watcher = Watcher.__new__(Watcher)
    random = Random(1)
    watcher.samples = [
        Sample(float(i), 30 * i, 0, 0, 0, 10**9 + per_frame * 30 * i + random.choice((0, 0, 5 * 10**8)), 0, 0)
        for i in range(1200)
    ]
    assert watcher.slope_mb_per_1000() == pytest.approx(expected, abs=0.02)
