# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""AOTInductor packages for CUDA: whether one can be compiled here, and what it computes."""

import shutil
import tempfile
from pathlib import Path

from gpu_check.exported_file import check_file
from gpu_check.report import LeftOut, Report
from gpu_check.setting import Setting


def check(report: Report, setting: Setting) -> None:
    setting.need_gpu()
    if not shutil.which("g++"):
        raise LeftOut("needs a C++ compiler: apt install g++")
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("bf16", "fp32"):
            check_file(report, setting, Path(folder) / f"{precision}.pt2", precision, precision)
