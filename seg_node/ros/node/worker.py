# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that loads and runs the model."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

PAUSE_S = 0.1  # should a fault last, not one after the other


class Worker:
    """One thread for loading, warm-up and frames, because PyTorch keeps helpers and plans per thread.

    It is a daemon that can be left alone when it is stuck: nothing waits for it without a deadline.
    """

    def __init__(self, turn: Callable[[], None], on_fault: Callable[[BaseException], None]) -> None:
        """`turn` is called again and again; it waits for work itself, briefly, and wraps it in `working`.

        `on_fault(error)` is called with whatever it raises.
        """
        self._turn, self._on_fault = turn, on_fault
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        self._closing = threading.Event()
        self._busy = threading.Lock()
        self._since: float | None = None
        self._thread = threading.Thread(target=self._loop, name="worker", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def run(self, job: Callable[[], T], timeout_s: float) -> T:
        """Run a job before the next turn and return its result.

        Raises what the job raises, TimeoutError when it takes longer.
        """
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future.result(timeout_s)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Mark the block as work in hand."""
        with self._busy:
            self._since = time.monotonic()
            try:
                yield
            finally:
                self._since = None

    def busy_s(self) -> float:
        """Return the seconds that the work in hand has taken; 0 when there is none."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait for the end of the work in hand; False when it takes longer."""
        if not self._busy.acquire(timeout=timeout_s):
            return False
        self._busy.release()
        return True

    def close(self, timeout_s: float) -> bool:
        """Stop the thread; False when it is still busy after the time: it then ends when it returns."""
        self._closing.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while not self._closing.is_set():
            try:
                self._run_job()
                self._turn()
            except BaseException as error:  # a library's SystemExit must not end the thread unseen
                self._on_fault(error)
                self._closing.wait(PAUSE_S)

    def _run_job(self) -> None:
        try:
            job, future = self._jobs.get_nowait()
        except Empty:
            return
        with self.working():
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
