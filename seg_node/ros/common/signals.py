# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Turn signals into a flag that the main loop polls."""

import signal
from types import FrameType


class Interrupt:
    """Records SIGINT, SIGTERM and SIGHUP from its construction on.

    Python's own KeyboardInterrupt can be raised anywhere, also inside a callback from C++, where it is lost.
    """

    def __init__(self) -> None:
        self._received = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._received = True

    def check(self) -> None:
        """Raise KeyboardInterrupt once if a signal arrived since the last check."""
        if self._received:
            self._received = False
            raise KeyboardInterrupt
