"""Keep freed image buffers in the process instead of giving them back to the kernel for every frame."""

import ctypes

# glibc's mallopt numbers (malloc.h). Images above 6 MB would be mapped and page-faulted anew each time:
# at 1080p, 30 Hz that costs 11 ms of latency instead of 3.8. Buffers above 64 MB still are, at most 256 MB
# are kept: a picture of 64 megapixels would leave a gigabyte behind.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def keep_large_buffers() -> None:
    """Call once, before rclpy.init(). Does nothing where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 64 << 20)
        mallopt(M_TRIM_THRESHOLD, 256 << 20)
        mallopt(M_TOP_PAD, 64 << 20)
