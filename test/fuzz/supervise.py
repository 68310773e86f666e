# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Forks a child for a batch of inputs and ends it when an input takes too much memory, or waits for ever."""

import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from fuzz.child import Batch, Progress, run_batch
from fuzz.limits import end_with_parent, resident
from fuzz.target import MEGABYTE, Target

POLL_S = 0.01
PREPARE_S = 300.0  # of a child, before its first input
# Wall time is no measure on a busy machine: this only ends what waits for something that never comes.
HANG_S, HANG_FACTOR = 60.0, 10.0
ABORT_S = 5.0  # to show the stack


def run_child(batch: Batch, progress: Progress) -> str | None:
    """What ended the child in its batch: "memory", "hang", "cpu", a signal's name, an exit status; or None.

    The child's stack is then in the file stack of the batch's folder, its output in output.
    """
    shutil.rmtree(batch.folder, ignore_errors=True)
    batch.folder.mkdir(parents=True)
    child = os.fork()
    if child == 0:
        _be_child(batch, progress)
    status, reason = _wait(child, batch.target, progress)
    _end_group(child)
    if status == 0:
        return None
    if not os.WIFSIGNALED(status):
        return f"exit {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    return reason or ("cpu" if number == signal.SIGXCPU else signal.Signals(number).name)


def _be_child(batch: Batch, progress: Progress) -> NoReturn:
    """Never returns: no cleanup of the parent's may run twice."""
    code = 1
    try:
        os.setsid()  # so that what it starts ends with it
        end_with_parent()
        run_batch(batch, progress)
        code = 0
    except BaseException:  # a fault of the harness itself: shown by the parent
        traceback.print_exc()
        progress.begin(-1)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, target: Target, progress: Progress) -> tuple[int, str | None]:
    """(exit status as waitpid gives it, why the child was ended here)"""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status, None
        reason = _excess(child, target, progress)
        if reason is not None:
            return _abort(child), reason
        time.sleep(POLL_S)


def _excess(child: int, target: Target, progress: Progress) -> str | None:
    is_at_work = progress.index >= 0
    limit_s = HANG_S + HANG_FACTOR * target.cpu_s if is_at_work else PREPARE_S
    if time.monotonic() - progress.since > limit_s:
        return "hang"
    if is_at_work and resident(child) - progress.idle > target.memory_mb * MEGABYTE:
        return "memory"
    return None


def _abort(child: int) -> int:
    """Ends the child by a signal that makes it show its stack."""
    os.kill(child, signal.SIGABRT)
    end = time.monotonic() + ABORT_S
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(POLL_S)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _end_group(group: int) -> None:
    """Ends what the child started and left behind."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def read(path: Path) -> str:
    """The text of a file that may not be there."""
    return path.read_text(errors="replace") if path.exists() else ""
