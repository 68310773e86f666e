# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""One camera's subscriptions, which are closed while nobody watches an output."""

import time
from collections.abc import Callable

from seg_node.ros.node.diagnostics import FrameStatistics
from seg_node.ros.node.inputs import Inputs
from seg_node.ros.node.options import Options


class RestingInputs:
    """The inputs of an active node: open, or resting."""

    def __init__(self, open_inputs: Callable[[], Inputs], statistics: FrameStatistics) -> None:
        """Open the inputs. Raises what subscribing raises."""
        self._open_inputs, self._statistics = open_inputs, statistics
        self._unwatched_since: float | None = None
        first = open_inputs()
        self.topic, self.topics = first.topic, first.topics
        self.current: Inputs | None = first  # None: resting

    def rest_or_wake(self, options: Options, watched: bool) -> None:
        """Close the inputs after `rest_after` without a watcher, open them with the next one.

        Call it several times a second. watched: whether an output has a subscriber.
        """
        if options.always_on or options.rest_after == 0 or watched:
            self._unwatched_since = None
            if self.current is None:
                self.current = self._open_inputs()
            return
        now = time.monotonic()
        self._unwatched_since = self._unwatched_since or now
        if now - self._unwatched_since >= options.rest_after:
            self.close("no_subscriber")

    def close(self, reason: str) -> None:
        """Unsubscribe; images that wait for their depth are counted as dropped for the reason."""
        inputs, self.current = self.current, None
        if inputs is not None:
            for _ in range(inputs.close()):
                self._statistics.dropped(reason)
