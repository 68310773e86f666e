# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as a question that is asked between two steps."""

import signal
from types import FrameType


class Interrupt:
    """Remembers SIGINT, SIGTERM and SIGHUP from its making on.

    Python's own KeyboardInterrupt can come at any point, also inside a callback from C++, where it is lost.
    """

    def __init__(self) -> None:
        self._came = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._came = True

    def check(self) -> None:
        """Raises KeyboardInterrupt, once, when a signal came since the last check."""
        if self._came:
            self._came = False
            raise KeyboardInterrupt
