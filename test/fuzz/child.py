# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
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
from dataclasses import asdict, dataclass
from pathlib import Path

from fuzz import limits
from fuzz.faults import Fault, describe, place_of
from fuzz.target import MEGABYTE, Input, Target

MAKE_CPU_S = 60  # the making of an input is not under test


@dataclass(frozen=True)
class Batch:
    """make: an input by its index. until: no input begins later (monotonic, s). folder: of this batch."""

    target: Target
    make: Callable[[int], Input]
    indices: range
    until: float
    folder: Path


class Progress:
    """How far a child has come, readable by its parent even after a crash.

    index: of the input at work, -1 before the first and after the last. since: when it began (monotonic, s).
    idle: bytes in memory before the first. done, refused: inputs that ended in time, and those of them that
    the boundary refused.
    """

    def __init__(self) -> None:
        shared = memoryview(mmap.mmap(-1, 5 * 8))
        # each number is written in one piece, which struct.pack_into does not do
        self._numbers, self._times = shared.cast("q"), shared.cast("d")
        self.begin(-1)

    def begin(self, index: int) -> None:
        self._times[1] = time.monotonic()
        self._numbers[0] = index

    def end(self, is_refused: bool) -> None:
        self._numbers[3] += 1
        self._numbers[4] += is_refused

    def set_idle(self, size: int) -> None:
        self._numbers[2] = size

    @property
    def index(self) -> int:
        return self._numbers[0]

    @property
    def since(self) -> float:
        return self._times[1]

    @property
    def idle(self) -> int:
        return self._numbers[2]

    @property
    def done(self) -> int:
        return self._numbers[3]

    @property
    def refused(self) -> int:
        return self._numbers[4]


def run_batch(batch: Batch, progress: Progress) -> None:
    """Runs the inputs; writes the faults to faults in the batch's folder, a line each.

    To be called in a forked child, whose output, limits and signal handlers it changes.
    """
    _redirect_output(batch.folder)
    watch = limits.Watch()
    batch.target.prepare()
    gc.collect()
    limits.limit_memory()
    progress.set_idle(limits.resident())
    with (batch.folder / "faults").open("w") as faults:
        for index in batch.indices:
            if time.monotonic() > batch.until:
                break
            progress.begin(-1)
            limits.limit_cpu(MAKE_CPU_S)
            value = batch.make(index)
            progress.begin(index)
            fault, is_refused = _run_one(batch, value, index, progress.idle, watch)
            progress.end(is_refused)
            if fault:
                faults.write(json.dumps(asdict(fault)) + "\n")
                faults.flush()
                if fault.kind == "memory":  # what the allocator keeps would count for the next input
                    break
        progress.begin(-1)


def _redirect_output(folder: Path) -> None:
    """Libraries print what they think of a damaged file; a crash prints its stack to `folder`/stack."""
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    stack = os.open(folder / "stack", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    faulthandler.enable(stack)
    faulthandler.register(signal.SIGXCPU, stack, all_threads=True, chain=True)


def _run_one(
    batch: Batch, value: Input, index: int, idle: int, watch: limits.Watch
) -> tuple[Fault | None, bool]:
    """(what went wrong, whether the boundary refused the input)"""
    folder = batch.folder / "input"
    folder.mkdir()
    os.ftruncate(1, 0)  # what was said of earlier inputs
    os.lseek(1, 0, os.SEEK_SET)
    limits.reset_peak()
    limits.limit_cpu(batch.target.cpu_s)
    error: BaseException | None = None
    watch.start(folder)
    try:
        batch.target.run(value, folder)
    except BaseException as raised:  # KeyboardInterrupt and SystemExit from an input are faults too
        error = raised
    finally:
        watch.stop()
    fault = _judge(batch.target, error, watch.seen, index, limits.peak() - idle)
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
    if error is not None and not isinstance(error, target.allowed):
        return Fault(type(error).__name__, place_of(error), index, describe(error))
    if used > target.memory_mb * MEGABYTE:
        place = place_of(error) if error else target.name
        return Fault("memory", place, index, f"{used / MEGABYTE:.0f} MB beyond the idle process")
    return None
