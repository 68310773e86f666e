# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Streams and events. All work is done in the order in which it is asked for, on whatever stream."""

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from pretend_cuda.broken import Broken

if TYPE_CHECKING:
    from pretend_cuda.device import PretendGpu


class Stream:
    gpu: ClassVar["PretendGpu"]

    def __init__(self, device: Any = None, **_: Any) -> None:
        self.device = self.gpu.with_index(device)

    def synchronize(self) -> None:
        self.gpu.wait("stream.synchronize")

    def query(self) -> bool:
        self.gpu.pinned.finish()
        return True

    def wait_stream(self, other: "Stream") -> None: ...

    def wait_event(self, event: "Event") -> None: ...

    def record_event(self, event: "Event | None" = None) -> "Event":
        event = event or self.gpu.make_event()
        event.record(self)
        return event


class Event:
    gpu: ClassVar["PretendGpu"]

    def __init__(self, enable_timing: bool = False, **_: Any) -> None:
        self._is_timed = enable_timing
        self._copies_begun: int | None = None

    def record(self, stream: Stream | None = None) -> None:
        if self._is_timed and self.gpu.recording is not None:
            raise Broken("an event with timing is recorded while a graph is")
        self._copies_begun = self.gpu.pinned.begun

    def wait(self, stream: Stream | None = None) -> None: ...

    def synchronize(self) -> None:
        """Wait for what was begun before it was recorded, not for what came later."""
        if self._copies_begun is None:
            raise Broken("synchronize of an event that was never recorded")
        self.gpu.wait("event.synchronize", until=self._copies_begun)

    def query(self) -> bool:
        if self._copies_begun is not None:
            self.gpu.pinned.finish(self._copies_begun)
        return True

    def elapsed_time(self, other: "Event") -> float:
        for event in (self, other):
            if not event._is_timed or event._copies_begun is None:
                raise Broken("elapsed_time of an event without timing, or that was never recorded")
        return 1.0


class DeviceGuard:
    """As torch.cuda.device and torch.cuda.stream: another current device for a while."""

    gpu: ClassVar["PretendGpu"]

    def __init__(self, device: Any) -> None:
        self._device = device.device if isinstance(device, Stream) else self.gpu.with_index(device)
        self._before: list[torch.device] = []

    def __enter__(self) -> None:
        self._before.append(self.gpu.current_device)
        self.gpu.current_device = self._device

    def __exit__(self, *_: object) -> None:
        self.gpu.current_device = self._before.pop()
