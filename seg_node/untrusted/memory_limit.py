# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Limit the memory for reading a file: a small hostile one can make a decoder allocate gigabytes."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# Reading an image of 64 MP takes 850 MB: Pillow's four bytes per pixel, twice, and a copy of three.
LIMIT_BYTES = 1_000_000_000
_PROCESS_SIZES = "/proc/self/statm"
_LOCK = threading.RLock()  # the limit is per process: two threads would restore each other's


def data_bytes() -> int:
    """Return the bytes that count against RLIMIT_DATA now. Linux only."""
    with open(_PROCESS_SIZES, "rb", buffering=0) as sizes:
        return int(sizes.read().split()[5]) * resource.getpagesize()


@contextmanager
def limited_memory(beyond: int = LIMIT_BYTES) -> Iterator[None]:
    """Let the process grow by at most `beyond` bytes in this context, one thread at a time.

    Beyond it allocations fail, and libraries raise MemoryError or their own error. Linux only; elsewhere
    without effect.
    """
    if resource is None or not os.path.exists(_PROCESS_SIZES):
        yield
        return
    with _LOCK:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        highest = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min([data_bytes() + beyond, *highest]), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
