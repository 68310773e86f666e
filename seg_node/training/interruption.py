"""Ctrl-C and the end of a session as a wish to stop soon, not in the middle of something."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Within it, SIGINT and SIGTERM only set what the given function returns. For the main thread."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interruption() -> None:
    """For worker processes, which a Ctrl-C in a terminal reaches as well: they end with the main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
