# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What keeps the node from serving frames is found in order of its cause."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from seg_node.inference.device_errors import DeviceLost
from seg_node.ros.node.faults import CallbackFaults
from seg_node.ros.node.options import DEFAULTS, Options
from seg_node.ros.node.report import find_problem, stall_timeout_s
from seg_node.ros.node.worker import Worker


class Log:
    """A ROS logger that nobody reads."""

    def fatal(self, text: str) -> None:
        pass


class Path:
    """A loaded model without a publishing thread."""

    publisher = None


@pytest.fixture
def faults() -> CallbackFaults:
    return CallbackFaults(Log())  # type: ignore[arg-type]


@pytest.fixture
def worker() -> Iterator[Worker]:
    idle = threading.Event()
    worker = Worker(lambda: idle.wait(0.01) and None, lambda error: None)
    yield worker
    worker.close(1.0)


def problem(options: Options, worker: Worker | None, path: Path | None, faults: CallbackFaults) -> str | None:
    return find_problem(options, worker, path, faults)  # type: ignore[arg-type]


def test_a_node_without_a_model_is_not_configured(worker: Worker, faults: CallbackFaults) -> None:
    for present in (None, worker):
        assert problem(DEFAULTS, present, None, faults) == "not configured: no model is loaded"


def test_a_model_that_loads_is_reported_with_its_time(worker: Worker, faults: CallbackFaults) -> None:
    with worker.working():
        text = problem(DEFAULTS, worker, None, faults)
    assert text is not None
    assert text.startswith("not configured: the model has been loading for")


def test_a_node_that_serves_frames_has_no_problem(worker: Worker, faults: CallbackFaults) -> None:
    assert problem(DEFAULTS, worker, Path(), faults) is None


def test_work_beyond_stall_timeout_is_stalled(worker: Worker, faults: CallbackFaults) -> None:
    with worker.working():
        text = problem(replace(DEFAULTS, stall_timeout=-1.0), worker, Path(), faults)
    assert text is not None
    assert text.startswith("stalled: the work in hand has taken")


def test_a_dead_worker_is_reported_with_the_cure(worker: Worker, faults: CallbackFaults) -> None:
    worker.close(1.0)
    text = problem(DEFAULTS, worker, Path(), faults)
    assert text == "the worker thread has died: clean up and configure the node, or restart it"


def test_a_lost_device_takes_precedence_and_stays_reported(faults: CallbackFaults) -> None:
    faults.lose_device(DeviceLost("cuda:0 is lost"))
    faults.lose_device(DeviceLost("cuda:0 is lost once more"))
    assert problem(DEFAULTS, None, None, faults) == "cuda:0 is lost"


@pytest.mark.parametrize(("max_rate", "seconds"), [(0.0, 10.0), (30.0, 10.0), (0.1, 20.0)])
def test_frames_may_wait_as_long_as_max_rate_requires(max_rate: float, seconds: float) -> None:
    assert stall_timeout_s(replace(DEFAULTS, stall_timeout=10.0, max_rate=max_rate)) == seconds
