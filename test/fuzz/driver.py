"""Runs a target's inputs in forked children and collects what went wrong.

A fork costs milliseconds, an import of PyTorch seconds: the parent imports once. A child runs inputs until
one of them ends it, or its batch is over, and the next child goes on behind it.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NoReturn

from fuzz.child import Progress, run_batch
from fuzz.faults import Fault, place_in_dump
from fuzz.target import Input, Target

POLL_S = 0.02
PREPARE_S = 300.0  # of a child, before its first input
# Wall time is no measure on a busy machine: this only ends what waits for something that never comes.
HANG_S, HANG_FACTOR = 60.0, 10.0


@dataclass
class Outcome:
    """inputs: run to their end or to their fault. refused: of them, by a documented exception.

    faults: the first of each kind and place. counts: how often each was met.
    """

    target: str
    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, fault: Fault) -> None:
        self.faults.setdefault(fault.key, fault)
        self.counts[fault.key] = self.counts.get(fault.key, 0) + 1


def explore(target: Target, seed: int, inputs: int, seconds: float, first: int = 0) -> Outcome:
    """Runs up to so many made inputs, for up to so many seconds; see `made_input`."""
    return _run(target, lambda index: made_input(target, seed, index), range(first, first + inputs), seconds)


def made_input(target: Target, seed: int, index: int) -> Input:
    """The target's input of that number; the same on every machine with the same libraries."""
    return target.make(Random(f"{target.name} {seed} {index}"))


def replay(target: Target, inputs: Sequence[Input]) -> Outcome:
    """Runs the given inputs."""
    return _run(target, inputs.__getitem__, range(len(inputs)), seconds=float("inf"))


def _run(target: Target, make: Callable[[int], Input], indices: range, seconds: float) -> Outcome:
    outcome = Outcome(target.name)
    began = time.monotonic()
    until = began + seconds
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        at = indices.start
        if len(indices):
            make(at)  # what inputs are made of is made here, once for all children
        while at < indices.stop and time.monotonic() < until:
            batch = range(at, min(at + target.batch, indices.stop))
            at = _run_child(target, make, batch, until, folder, outcome)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    outcome.seconds = time.monotonic() - began
    return outcome


def _run_child(
    target: Target,
    make: Callable[[int], Input],
    batch: range,
    until: float,
    folder: Path,
    outcome: Outcome,
) -> int:
    """Runs one child; returns the index to go on with."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    progress = Progress()
    child = os.fork()
    if child == 0:
        _be_child(target, make, batch, until, folder, progress)
    status, hung = _wait(child, target, progress)
    index, _, done, refused = progress.read()
    outcome.inputs, outcome.refused = outcome.inputs + done, outcome.refused + refused
    faults = folder / "faults"
    for line in faults.read_text().splitlines() if faults.exists() else ():
        outcome.add(Fault(**json.loads(line)))
    if status == 0:
        return batch.start + done if done else batch.stop
    if index < 0:
        raise RuntimeError(f"{target.name}: the child died between inputs:\n{_read(folder / 'output')}")
    outcome.inputs += 1
    outcome.add(_crash(status, hung, index, folder))
    return index + 1


def _be_child(
    target: Target,
    make: Callable[[int], Input],
    batch: range,
    until: float,
    folder: Path,
    progress: Progress,
) -> NoReturn:
    """Never returns: no cleanup of the parent's may run twice."""
    code = 1
    try:
        os.setsid()  # so that what it starts ends with it
        run_batch(target, make, batch, until, folder, progress)
        code = 0
    except BaseException:  # a fault of the harness itself: shown by the parent
        traceback.print_exc()
        progress.write(-1, 0, 0)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, target: Target, progress: Progress) -> tuple[int, bool]:
    """(exit status as waitpid gives it, whether it was ended for waiting)"""
    hung = False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _end_group(child)
            return status, hung
        index, since, _, _ = progress.read()
        limit = PREPARE_S if index < 0 else HANG_S + HANG_FACTOR * target.cpu_s
        if time.monotonic() - since > limit:
            if hung:  # and the abort did not end it
                os.kill(child, signal.SIGKILL)
            else:
                os.kill(child, signal.SIGABRT)  # which shows the stack
            hung = True
            time.sleep(1)
        time.sleep(POLL_S)


def _end_group(group: int) -> None:
    """Ends what the child started and left behind."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _crash(status: int, hung: bool, index: int, folder: Path) -> Fault:
    """The fault of the input that ended its child."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    output = _read(folder / "output")
    if hung:
        kind = "hang"
    elif number == signal.SIGXCPU:
        kind = "cpu"
    else:
        kind = signal.Signals(number).name if number else f"exit {os.WEXITSTATUS(status)}"
    last_words = output.strip().splitlines()[-1:] or [kind]
    return Fault(kind, place_in_dump(_read(folder / "stack")), index, last_words[0][:200])


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
