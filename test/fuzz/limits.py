# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What an input may take and do in the child that runs it: CPU, memory, files, programs, connections."""

import ctypes
import os
import re
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from fuzz.target import MEGABYTE

# Far more than what is allowed: a library that meets this bound may hide it, and the parent sees real use.
MOST_ADDRESSES_MB = 64_000
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
# M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD of <malloc.h>, at glibc's own values
_ALLOCATOR = ((-3, 128 << 10), (-1, 128 << 10), (-2, 128 << 10))
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PROGRAMS = frozenset(
    {
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "pty.spawn",
    }
)
_CONNECTIONS = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"})
_CHANGES = frozenset(
    {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
)


class Forbidden(BaseException):
    """An act that no input may cause. Not an Exception, so that no boundary mistakes it for a bad file."""

    def __init__(self, act: str, detail: str) -> None:
        super().__init__(f"{act} {detail}")
        self.act = act


class Watch:
    """Raises Forbidden, while an input runs, for programs, connections and changes outside its folder."""

    def __init__(self) -> None:
        self._folder: str | None = None
        self.seen: Forbidden | None = None
        sys.dont_write_bytecode = True
        sys.addaudithook(self._on_event)

    def start(self, folder: Path) -> None:
        self._folder, self.seen = str(folder.resolve()), None

    def stop(self) -> None:
        self._folder = None

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._folder is None or not is_forbidden(event, arguments, self._folder):
            return
        detail = str(arguments[0])[:100]
        self.seen = Forbidden(event, detail)
        raise self.seen


def is_forbidden(event: str, arguments: tuple[Any, ...], folder: str) -> bool:
    if event in _PROGRAMS or event in _CONNECTIONS:
        return True
    if event in _CHANGES:
        return not _is_inside(arguments[0], folder)
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        return not _is_inside(arguments[0], folder)
    return False


def _is_inside(path: Any, folder: str) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):  # an open file's number
        return True
    place = os.path.realpath(os.fsdecode(path))
    return place == folder or place.startswith(f"{folder}/") or place == "/dev/null"


def give_memory_back() -> None:
    """Make free memory leave this process, against scripts/env.sh: else it counts for the next input."""
    libc = ctypes.CDLL(None)
    for parameter, value in _ALLOCATOR:
        libc.mallopt(parameter, value)


def end_with_parent() -> None:
    """Let the kernel end this process when the one that forked it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def limit_memory() -> None:
    """A last bound on the addresses of this process."""
    addresses = status("VmSize") + MOST_ADDRESSES_MB * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))


def limit_cpu(seconds: int) -> None:
    """End this process (SIGXCPU) after so many further seconds of CPU, rounded up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))


def resident(process: int | str = "self") -> int:
    """Bytes in memory now; 0 for a process that is gone."""
    return status("VmRSS", process)


def reset_peak() -> None:
    """Forget the greatest memory so far (Linux ≥ 4.0: Documentation/filesystems/proc.rst, clear_refs)."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak() -> int:
    """The most bytes in memory since `reset_peak`."""
    return status("VmHWM")


def status(key: str, process: int | str = "self") -> int:
    """A size of /proc/PROCESS/status, in bytes; 0 for a process that is gone."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{key}:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) << 10 if found else 0
