# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Runs parts one after the other, each within its time; whatever a part does, the next one runs."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gpu_check.parts import Part
from gpu_check.report import Row, read_rows
from gpu_check.stop import Stop, kill_group

_TOO_SHORT = 10.0  # seconds, in which a part would hardly start
_SLOWER = 10  # times than a GPU, the emulated device
_LAST_WORDS = 300  # characters of what a part that died wrote


def run_parts(parts: Sequence[Part], folder: Path, in_all: float, mode: str, stop: Stop) -> Iterator[Row]:
    """The rows of each part until the stop; of one that hangs, dies or is stopped a row that says so.

    folder: for their files. in_all: seconds for all together. mode: "gpu" or "pretend".
    """
    end = time.monotonic() + in_all
    for part in parts:
        if stop.number:
            return
        left = end - time.monotonic()
        if left < min(_TOO_SHORT, part.seconds):
            yield Row(part.name, "all", "left out", f"no time left: scripts/gpu-check --parts {part.name}")
            continue
        seconds = part.seconds * (_SLOWER if mode == "pretend" else 1)
        yield from run_part(part, folder, min(left, seconds), mode, stop)


def run_part(part: Part, folder: Path, seconds: float, mode: str, stop: Stop) -> list[Row]:
    rows, log = folder / f"{part.name}.jsonl", folder / f"{part.name}.log"
    command = [sys.executable, "-m", "gpu_check.part_process", part.module, part.name, str(rows), mode]
    with log.open("w") as output, _group(command, output) as process:
        stop.watch(process)
        try:
            code = process.wait(seconds)
            problem = _ending(code) if code else ""
        except subprocess.TimeoutExpired:
            problem = f"not finished within {seconds:.0f} s"
    found = read_rows(rows)
    if problem and stop.number:
        return [*found, Row(part.name, "all", "left out", stop.reason)]
    if not problem:
        return found or [Row(part.name, "all", "failed", "ended without a result")]
    words = _last_words(log)
    return [*found, Row(part.name, "all", "failed", f"{problem}: {words}" if words else problem)]


@contextmanager
def _group(command: list[str], output: IO[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The command as the leader of a process group, all of which is ended at the end."""
    process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        kill_group(process)
        process.wait()


def _ending(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][-_LAST_WORDS:] if lines else ""
