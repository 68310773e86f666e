# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that runs the model: jobs, faults, and a worker that is stuck."""

import threading
import time

import pytest

from seg_node.ros.node.worker import Worker


def nothing() -> None:
    time.sleep(0.001)


def test_a_job_runs_in_the_workers_thread_and_its_result_is_returned() -> None:
    worker = Worker(nothing, pytest.fail)
    assert worker.run(lambda: threading.current_thread().name, 10.0) == "worker"
    with pytest.raises(KeyError, match="lost"):
        worker.run(lambda: {}["lost"], 10.0)
    assert worker.close(10.0) and not worker.alive


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3), KeyboardInterrupt()])
def test_an_exception_of_a_turn_is_reported_and_the_next_turn_runs(error: BaseException) -> None:
    caught: list[BaseException] = []
    turns = iter([error])
    again = threading.Event()

    def turn() -> None:
        for fault in turns:
            raise fault
        again.set()
        time.sleep(0.001)

    worker = Worker(turn, caught.append)
    assert again.wait(10.0)
    assert caught == [error] and worker.alive
    assert worker.close(10.0)


def test_a_stuck_worker_reports_its_time_and_does_not_block() -> None:
    began, release = threading.Event(), threading.Event()

    def stuck() -> None:
        with worker.working():
            began.set()
            release.wait(60.0)

    gate = threading.Event()

    def turn() -> None:
        if gate.wait(0.01):
            stuck()

    worker = Worker(turn, pytest.fail)
    assert worker.busy_s() == 0.0 and worker.wait_idle(10.0)
    gate.set()
    assert began.wait(10.0)
    assert worker.busy_s() > 0.0
    assert not worker.wait_idle(0.05)
    assert not worker.close(0.05)
    with pytest.raises(TimeoutError):
        worker.run(lambda: None, 0.05)
    release.set()
    assert worker.close(10.0)
    assert worker.busy_s() == 0.0
