# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's providers for CUDA and TensorRT, where they are installed."""

import os
import tempfile
from pathlib import Path
from unittest import mock

import onnxruntime
import onnxscript  # what writes the file; the part is left out without it

from gpu_check.exported_file import check_file
from gpu_check.report import LeftOut, Report
from gpu_check.setting import Setting

_PROVIDERS = ("CUDAExecutionProvider", "TensorrtExecutionProvider")


def check(report: Report, setting: Setting) -> None:
    setting.need_gpu()
    available = onnxruntime.get_available_providers()
    versions = {"onnxruntime": onnxruntime.__version__, "onnxscript": onnxscript.__version__}
    report.measured("providers", available=" ".join(available), **versions)
    if not set(_PROVIDERS) & set(available):
        raise LeftOut(f"this ONNX Runtime has no CUDA ({', '.join(available)}): pip install onnxruntime-gpu")
    for provider in _PROVIDERS:
        if provider not in available:
            report.left_out(provider, "this ONNX Runtime is built without it")
            continue
        with tempfile.TemporaryDirectory() as folder:
            only = mock.patch.object(
                onnxruntime, "get_available_providers", lambda provider=provider: [provider]
            )
            cache = mock.patch.dict(os.environ, {"SEG_NODE_CACHE": folder})  # TensorRT builds its engine anew
            with only, cache:
                for precision in ("fp32", "fp16"):
                    file = Path(folder) / f"{precision}.onnx"
                    check_file(report, setting, file, precision, f"{provider} {precision}")
