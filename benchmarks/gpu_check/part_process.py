# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""One part in a process of its own: what it does to its CUDA context ends with it."""

import os
import sys
import traceback
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

from gpu_check.report import LeftOut, Report
from gpu_check.setting import Setting, emulated

_OURS = ("seg_node", "gpu_check", "pretend_cuda")


def main(module: str, name: str, rows: str, mode: str) -> int:
    """mode: "gpu" or "pretend". Returns 1 for a part that raised."""
    report = Report(name, Path(rows))
    setting = Setting(mode == "pretend", name.partition(".")[2])
    try:
        check = import_module(module).check
        with emulated() if setting.pretend else nullcontext():
            check(report, setting)
    except LeftOut as reason:
        report.left_out("all", str(reason))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in _OURS:
            traceback.print_exc()
            return 1
        report.left_out("all", f"needs the package {error.name}, which is not installed")
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a broken CUDA context can crash, or hang, in its own clean-up
