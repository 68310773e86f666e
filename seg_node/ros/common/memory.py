# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The process's memory: keep freed image buffers, and refuse more than the machine can give."""

import ctypes
import resource
from pathlib import Path

from seg_node.untrusted.memory_limit import data_bytes

# glibc's mallopt numbers (malloc.h). Images above 6 MB would be mapped and page-faulted anew each time:
# at 1080p, 30 Hz that costs 11 ms of latency instead of 3.8. Buffers above 64 MB still are, and at most 256
# MB are kept: a picture of 64 megapixels would leave a gigabyte behind.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
# By default threads get arenas of their own, up to eight per core; a reloaded model would fill each of them.
ARENAS = 4


def keep_large_buffers() -> None:
    """Keep freed image buffers for reuse. Call once, before rclpy.init(). Does nothing without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 64 << 20)
        mallopt(M_TRIM_THRESHOLD, 256 << 20)
        mallopt(M_TOP_PAD, 64 << 20)
        mallopt(M_ARENA_MAX, ARENAS)


def give_back_memory() -> None:
    """Return freed memory to the system. Does nothing without glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


AUTO_SHARE, AUTO_MOST = 0.75, 8 << 30  # share of the memory free at the start, limit in bytes


def limit_memory(megabytes: int) -> None:
    """Make allocations beyond a limit fail with MemoryError, before the machine runs out of memory.

    A request of a few bytes can declare gigabytes, which the middleware allocates before it checks the data.
    megabytes: -1 for three quarters of the free memory, 8 GB at most, beyond what the process uses; 0 for no
    limit.
    Raises ValueError when the process already uses more.
    """
    if megabytes == 0:
        return
    used = data_bytes()
    limit = megabytes << 20 if megabytes > 0 else used + min(int(_available_bytes() * AUTO_SHARE), AUTO_MOST)
    if limit < used:
        raise ValueError(
            f"memory_limit is {limit >> 20} MB, but the node uses {used >> 20} MB before any image: raise "
            "it, or set it to -1"
        )
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _available_bytes() -> int:
    """Free memory of the machine, at most the limit of its control group."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    try:
        group = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return available
    return available if group == "max" else min(available, int(group))
