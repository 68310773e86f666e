"""The forked process that runs a batch of inputs: one after the other, until one ends the process."""

import contextlib
import faulthandler
import gc
import json
import mmap
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from fuzz import limits
from fuzz.faults import Fault, describe, memory_error_in, place_of
from fuzz.target import Input, Target

MEGABYTE = 1 << 20


class Progress:
    """How far a child has come, readable by its parent even after a crash.

    index: of the input at work, -1 before the first. since: when it began (monotonic, s). done, refused:
    inputs that ended in time, and those of them that the boundary refused.
    """

    def __init__(self) -> None:
        shared = memoryview(mmap.mmap(-1, 4 * 8))
        # each number is written in one piece, which struct.pack_into does not do
        self._counts, self._since = shared.cast("q"), shared.cast("d")
        self.write(-1, 0, 0)

    def write(self, index: int, done: int, refused: int) -> None:
        self._since[3] = time.monotonic()
        self._counts[0], self._counts[1], self._counts[2] = index, done, refused

    def read(self) -> tuple[int, float, int, int]:
        """(index, since, done, refused)"""
        index, done, refused = self._counts[:3]
        return index, self._since[3], done, refused


def run_batch(
    target: Target,
    make: Callable[[int], Input],
    indices: range,
    until: float,
    folder: Path,
    progress: Progress,
) -> None:
    """Runs the inputs until the time `until` (monotonic, s); writes faults to `folder`/faults, a line each.

    To be called in a forked child, whose output, limits and signal handlers it changes.
    """
    _redirect_output(folder)
    watch = limits.Watch()
    target.prepare()
    gc.collect()
    limits.limit_memory(target.memory_mb)
    idle = limits.resident()
    done = refused = 0
    with (folder / "faults").open("w") as faults:
        for index in indices:
            if time.monotonic() > until:
                break
            value = make(index)
            progress.write(index, done, refused)
            fault, is_refused = _run_one(target, value, folder / "input", index, idle, watch)
            done, refused = done + 1, refused + is_refused
            if fault:
                faults.write(json.dumps(asdict(fault)) + "\n")
                faults.flush()
                if fault.kind == "memory":  # what the allocator keeps would count for the next input
                    break
        progress.write(-1, done, refused)


def _redirect_output(folder: Path) -> None:
    """Libraries print what they think of a damaged file; a crash prints its stack to `folder`/stack."""
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    stack = os.open(folder / "stack", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    faulthandler.enable(stack)
    faulthandler.register(signal.SIGXCPU, stack, all_threads=True, chain=True)


def _run_one(
    target: Target, value: Input, folder: Path, index: int, idle: int, watch: limits.Watch
) -> tuple[Fault | None, bool]:
    """(what went wrong, whether the boundary refused the input)"""
    folder.mkdir()
    os.ftruncate(1, 0)  # what was said of earlier inputs
    os.lseek(1, 0, os.SEEK_SET)
    limits.reset_peak()
    limits.limit_cpu(target.cpu_s)
    error: BaseException | None = None
    watch.start(folder)
    try:
        target.run(value, folder)
    except BaseException as raised:  # KeyboardInterrupt and SystemExit from an input are faults too
        error = raised
    finally:
        watch.stop()
    fault = _judge(target, error, watch.seen, index, limits.peak() - idle)
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
    is_refused = error is not None and fault is None
    error = watch.seen = None  # else its traceback and this frame would keep each other, and all that it saw
    return fault, is_refused


def _judge(
    target: Target, error: BaseException | None, forbidden: limits.Forbidden | None, index: int, used: int
) -> Fault | None:
    if forbidden is not None:  # even when something caught it
        return Fault(f"forbidden {forbidden.act}", place_of(forbidden), index, describe(forbidden))
    refused_memory = memory_error_in(error) if error else None
    if refused_memory is not None:
        return Fault("memory", place_of(refused_memory), index, describe(refused_memory))
    if error is not None and not isinstance(error, target.allowed):
        return Fault(type(error).__name__, place_of(error), index, describe(error))
    if used > target.memory_mb * MEGABYTE:
        place = place_of(error) if error else target.name
        return Fault("memory", place, index, f"{used / MEGABYTE:.0f} MB beyond the idle process")
    return None
