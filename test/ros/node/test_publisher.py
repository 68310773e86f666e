# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that publishes: one frame at a time, in order, and what it does when publishing is stuck."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest

from seg_node.ros.node import publisher as module
from seg_node.ros.node.publisher import Publisher

SHORT_S = 0.05  # that nothing happens meanwhile


class Job:
    """Work that goes on until it is released."""

    def __init__(self) -> None:
        self.began, self.release = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.began.set()
        assert self.release.wait(60.0)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher(pytest.fail)
    yield made
    assert made.close(10.0)


def in_thread(act: Callable[[], object]) -> threading.Event:
    """Set when it has returned."""
    done = threading.Event()

    def run() -> None:
        act()
        done.set()

    threading.Thread(target=run, daemon=True).start()
    return done


def test_a_frame_is_published_in_parallel_and_the_next_waits_for_it(publisher: Publisher) -> None:
    first, names = Job(), []
    assert publisher.busy_s() == 0.0 and publisher.wait_idle(10.0)
    assert publisher.hand_on(first)  # returns while the job goes on
    assert first.began.wait(10.0) and publisher.busy_s() > 0.0
    second = in_thread(lambda: publisher.hand_on(lambda: names.append(threading.current_thread().name)))
    assert not second.wait(SHORT_S) and not publisher.wait_idle(SHORT_S)
    assert not publisher.offer(pytest.fail)
    first.release.set()
    assert second.wait(10.0) and publisher.wait_idle(10.0)
    assert names == ["publisher"] and publisher.busy_s() == 0.0


def test_frames_are_published_in_the_order_of_submission(publisher: Publisher) -> None:
    published: list[int] = []
    for number in range(200):
        assert publisher.hand_on(lambda number=number: published.append(number))
    assert publisher.wait_idle(10.0)
    assert published == list(range(200))


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3), KeyboardInterrupt()])
def test_an_exception_of_a_job_is_reported_and_the_next_one_runs(error: BaseException) -> None:
    caught: list[BaseException] = []
    publisher, again = Publisher(caught.append), threading.Event()

    def fail() -> None:
        raise error

    assert publisher.hand_on(fail) and publisher.hand_on(again.set)
    assert again.wait(10.0) and caught == [error]
    assert publisher.problem(10.0) is None
    assert publisher.close(10.0)


def test_a_stuck_job_is_a_problem_and_does_not_block_close() -> None:
    publisher, job = Publisher(pytest.fail), Job()
    assert publisher.hand_on(job) and job.began.wait(10.0)
    assert publisher.problem(60.0) is None
    assert "publishing a frame has taken" in str(publisher.problem(0.0))
    answers: list[bool] = []
    waiting = in_thread(lambda: answers.append(publisher.hand_on(pytest.fail)))
    assert not waiting.wait(SHORT_S)
    assert not publisher.close(SHORT_S)
    assert waiting.wait(10.0) and answers == [False]
    job.release.set()
    assert publisher.close(10.0)
    assert not publisher.hand_on(pytest.fail) and not publisher.offer(pytest.fail)
    assert "has died" in str(publisher.problem(60.0))


def test_a_published_frame_is_not_kept_until_the_next_one(publisher: Publisher) -> None:
    class Frame:
        pass

    frame = Frame()
    kept = weakref.ref(frame)
    assert publisher.hand_on(lambda frame=frame: None)
    del frame
    assert publisher.wait_idle(10.0)
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize(
    ("model_s", "publish_s", "waits"), [(2.0, 30.0, True), (30.0, 2.0, False), (2.0, 2.0, False)]
)
def test_the_model_starts_so_that_its_result_is_ready_when_it_can_be_published(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, model_s: float, publish_s: float, waits: bool
) -> None:
    """Else results would grow old while they wait, and nothing would come out sooner."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def run_model() -> Job:
        job = Job()
        publisher.wait_to_begin()
        now[0] += model_s
        assert publisher.hand_on(job) and job.began.wait(10.0)
        return job

    job = run_model()
    now[0] += publish_s
    job.release.set()
    assert publisher.wait_idle(10.0)
    job = run_model()
    begun = in_thread(publisher.wait_to_begin)
    assert begun.wait(SHORT_S if waits else 10.0) is not waits
    job.release.set()
    assert begun.wait(10.0)
