# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The project's own tests that need a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest  # so that the part is left out without it

from gpu_check.report import Report
from gpu_check.setting import Setting

_TESTS = Path(__file__).resolve().parents[2] / "test"


def check(report: Report, setting: Setting) -> None:
    setting.need_gpu()
    files = [str(file) for file in sorted(_TESTS.glob("test_*.py")) if "mark.gpu" in file.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=_TESTS.parent, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]]
    problems = (
        [] if done.returncode == 0 else [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    )
    if done.returncode and not problems:
        problems = [f"pytest ended with exit code {done.returncode}"]
    report.judge("pytest -m gpu", problems, pytest=pytest.__version__, summary=lines[-1])
