# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A file of `seg_node export` on the GPU against PyTorch there: its numbers and its time."""

from pathlib import Path

import torch
from torch import Tensor
from torch.backends import cudnn
from torch.utils._pytree import tree_leaves

from gpu_check.report import Report
from gpu_check.setting import Setting
from gpu_check.timing import repeated
from seg_node.export.command import export
from seg_node.export.dense_part import load_exported
from seg_node.export.open_model import ModelSource
from seg_node.models.load import load_model

_CAMERA = (480, 640)
# relative; float32's rounding gives 2e-6, TF32 would give 1e-3
_LARGEST_ERROR = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 6e-2}


def check_file(report: Report, setting: Setting, path: Path, precision: str, check: str) -> None:
    """Exports the embedded model to the path, loads it, and compares its outputs with `exact`."""
    export(path, _CAMERA, ModelSource(precision=precision, device=str(setting.device)))
    plain = load_model()
    exported = load_exported(path, plain, setting.device, precision)
    plain.network.to(setting.device)
    info = exported.info
    pixels = torch.rand(1, 3, *info.input_size, device=setting.device) * 4 - 2
    with torch.inference_mode(), cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
        expected = tree_leaves(plain.network(pixels))
        found = tree_leaves(exported(pixels))
    error = max(_relative(one, two) for one, two in zip(found, expected, strict=True))
    most = _LARGEST_ERROR[precision]
    problems = [] if error <= most else [f"outputs differ by {error:.1e}, at most {most:.0e} is right"]
    with torch.inference_mode():

        def run() -> None:
            exported(pixels)
            torch.cuda.synchronize(setting.device)

        times = repeated(run, setting, 2)
    report.judge(check, problems, largest_difference=error, pytorch_ms=info.torch_ms, **times)


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())
