# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Turn Ctrl-C and SIGTERM into a flag that the training loop polls between two steps."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT or SIGTERM came; main thread only.

    Handlers are restored at the end. SIGHUP keeps its own, so that nohup works.
    """
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, receive) for number in _SIGNALS}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interruption() -> None:
    """Ignore SIGINT in a worker process: a terminal's Ctrl-C reaches it, but the main process ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
