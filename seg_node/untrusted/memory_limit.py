"""A bound on what reading a file may allocate: a small hostile one can ask a decoder for gigabytes."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# A picture of 64 MP takes 850 MB while it is read: Pillow's four bytes a pixel, twice, and a copy of three.
LIMIT_BYTES = 1_000_000_000
_PROCESS_SIZES = "/proc/self/statm"
_LOCK = threading.RLock()  # the limit is the process's: of two threads, each would restore the other's


def data_bytes() -> int:
    """Return what counts against RLIMIT_DATA now. Linux only."""
    with open(_PROCESS_SIZES, "rb", buffering=0) as sizes:
        return int(sizes.read().split()[5]) * resource.getpagesize()


@contextmanager
def limited_memory(beyond: int = LIMIT_BYTES) -> Iterator[None]:
    """Let the process grow by so many bytes inside, one thread at a time; an allocation beyond them fails.

    Python and its libraries then raise MemoryError or their own error. Linux; elsewhere without effect.
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
