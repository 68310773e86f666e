# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What went wrong with an input, and where: two faults of one kind at one line of seg_node are the same."""

import re
import traceback
from dataclasses import dataclass
from pathlib import Path

import seg_node

_PROJECT = Path(seg_node.__file__).resolve().parents[1]
_TARGETS = Path(__file__).resolve().parents[2]
# a line of faulthandler's
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in ')


@dataclass(frozen=True)
class Fault:
    """kind: type of the exception, name of the signal, or memory, cpu, hang, or the forbidden act.

    place: last line of seg_node on the stack. index: of the input in its run; text: what was said.
    """

    kind: str
    place: str
    index: int
    text: str

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.place


def place_of(error: BaseException) -> str:
    """The last line of seg_node in the traceback; of the fuzz target where seg_node has none."""
    lines = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return _last_of_project(lines)


def place_in_dump(dump: str) -> str:
    """As `place_of`, of the thread at work in faulthandler's dump (most recent call first)."""
    _, _, current = dump.rpartition("Current thread")
    thread = current.partition("\n\n")[0] if current else dump.partition("\n\n")[0]
    return _last_of_project([f"{name}:{line}" for name, line in _FRAME.findall(thread)][::-1])


def describe(error: BaseException) -> str:
    """One line: type and text."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _last_of_project(lines: list[str]) -> str:
    inside = [line.removeprefix(f"{_PROJECT}/") for line in lines if line.startswith(f"{_PROJECT}/seg_node/")]
    outside = [line.removeprefix(f"{_TARGETS}/") for line in lines if "/fuzz/targets/" in line]
    return (inside or outside or ["no line of seg_node"])[-1]
