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
# Each thread would fill an arena of its own, eight for each core; a model loaded again would be in each.
ARENAS = 4


def keep_large_buffers() -> None:
    """Call once, before rclpy.init(). Does nothing where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 64 << 20)
        mallopt(M_TRIM_THRESHOLD, 256 << 20)
        mallopt(M_TOP_PAD, 64 << 20)
        mallopt(M_ARENA_MAX, ARENAS)


def give_back_memory() -> None:
    """Return what was freed to the system. Does nothing where the C library is not glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


AUTO_SHARE, AUTO_MOST = 0.75, 8 << 30  # of the memory that is free at the start, bytes at most


def limit_memory(megabytes: int) -> None:
    """Make allocations beyond a size fail in this process, with MemoryError, instead of ending the machine's.

    A request of a few bytes can declare gigabytes, for which the middleware makes room before it looks at the
    data. megabytes: -1 for three quarters of the free memory, 8 GB at most, beyond what the process has; 0
    for no limit.
    Raises ValueError when the process has more already.
    """
    if megabytes == 0:
        return
    used = data_bytes()
    limit = megabytes << 20 if megabytes > 0 else used + min(int(_available_bytes() * AUTO_SHARE), AUTO_MOST)
    if limit < used:
        raise ValueError(
            f"memory_limit is {limit >> 20} MB, but the node takes {used >> 20} MB before any image: raise "
            "it, or set it to -1"
        )
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _available_bytes() -> int:
    """Free memory of the machine, or what its control group leaves."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    try:
        group = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return available
    return available if group == "max" else min(available, int(group))
