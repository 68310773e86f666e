# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that publishes a frame's results while the model runs on the next frame."""

import threading
import time
from collections.abc import Callable


class Publisher:
    """Runs one job at a time, in the order they come; `hand_on` waits for the one before, so none queues up.

    A daemon that can be left alone when it is stuck, as the worker.
    """

    def __init__(self, on_fault: Callable[[BaseException], None]) -> None:
        """`on_fault(error)` is called with whatever a job raises."""
        self._on_fault = on_fault
        self._changed = threading.Condition()
        self._job: Callable[[], None] | None = None
        self._is_frame = False
        self._since, self._begun = 0.0, time.monotonic()  # of the job in hand; of the model's work
        self._publish_s = self._model_s = 0.0  # of the last frames
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name="publisher", daemon=True)
        self._thread.start()

    def wait_to_begin(self) -> None:
        """Wait while a frame taken now would be ready before it can be published, as the last ones show.

        Its result would only grow old; a newer frame can be taken instead.
        """
        with self._changed:
            due = self._since + self._publish_s - self._model_s
            self._wait_free(max(due - time.monotonic(), 0.0))
            self._begun = time.monotonic()

    def hand_on(self, job: Callable[[], None]) -> bool:
        """Let the thread publish a frame once the one before is published; False when closed meanwhile."""
        with self._changed:
            self._model_s = time.monotonic() - self._begun
            self._wait_free(None)
            return self._take(job, is_frame=True)

    def offer(self, job: Callable[[], None]) -> bool:
        """Let the thread do other work; returns False, without doing it, when it is busy."""
        with self._changed:
            return self._take(job, is_frame=False)

    def busy_s(self) -> float:
        """Seconds that the job in hand has taken; 0 when there is none."""
        with self._changed:
            return 0.0 if self._job is None else time.monotonic() - self._since

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait for the end of the job in hand; False when it takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._job is None, timeout_s)

    def problem(self, stall_timeout_s: float) -> str | None:
        """Describe what is wrong with the thread, with the cure; None when nothing is."""
        if not self._thread.is_alive():
            return "the publishing thread has died: clean up and configure the node, or restart it"
        busy_s = self.busy_s()
        if busy_s > stall_timeout_s:
            return (
                f"stalled: publishing a frame has taken {busy_s:.1f} s, more than stall_timeout; does a "
                "reliable subscriber not keep up?"
            )
        return None

    def close(self, timeout_s: float) -> bool:
        """End the thread after the job in hand; False when that takes longer. No other job begins."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _wait_free(self, timeout_s: float | None) -> None:
        self._changed.wait_for(lambda: self._job is None or self._closing, timeout_s)

    def _take(self, job: Callable[[], None], is_frame: bool) -> bool:
        if self._job is not None or self._closing:
            return False
        self._job, self._is_frame, self._since = job, is_frame, time.monotonic()
        self._changed.notify_all()
        return True

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            except BaseException as error:  # a library's SystemExit must not end the thread unseen
                self._on_fault(error)
            del job  # it holds a frame, which must not live until the next one
            with self._changed:
                if self._is_frame:
                    self._publish_s = time.monotonic() - self._since
                self._job = None
                self._changed.notify_all()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._job is not None or self._closing)
            return self._job
