# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN's Triton kernels match torch and torchvision."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_kernels_give_the_torch_functions_results() -> None:
    """Run Triton's interpreter in its own process, since it must be selected before the import."""
    pytest.importorskip("triton", reason="the kernels need Triton, which is not installed")
    result = subprocess.run(
        [sys.executable, Path(__file__).resolve().parents[2] / "helpers/rcnn_kernels.py"],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "equal\n", result.stderr[-3000:]
