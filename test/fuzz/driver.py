# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a target's inputs in forked children and collects what went wrong.

A fork costs milliseconds, an import of PyTorch seconds: the parent imports once. A child runs inputs until
one of them ends it, or its batch is over, and the next child goes on behind it.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzz.child import Batch, Progress
from fuzz.faults import Fault, place_in_dump
from fuzz.supervise import read, run_child
from fuzz.target import Input, Target


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
            at = _run_batch(Batch(target, make, batch, until, folder / "batch"), outcome)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    outcome.seconds = time.monotonic() - began
    return outcome


def _run_batch(batch: Batch, outcome: Outcome) -> int:
    """Runs one child; returns the index to go on with."""
    progress = Progress()
    kind = run_child(batch, progress)
    outcome.inputs += progress.done
    outcome.refused += progress.refused
    for line in read(batch.folder / "faults").splitlines():
        outcome.add(Fault(**json.loads(line)))
    if kind is None:
        return batch.indices.start + progress.done if progress.done else batch.indices.stop
    output = read(batch.folder / "output")
    if progress.index < 0:
        raise RuntimeError(f"{batch.target.name}: the child ended ({kind}) between inputs:\n{output}")
    outcome.inputs += 1
    last_words = output.strip().splitlines()[-1:] or [kind]
    place = place_in_dump(read(batch.folder / "stack"))
    outcome.add(Fault(kind, place, progress.index, last_words[0][:200]))
    return progress.index + 1
