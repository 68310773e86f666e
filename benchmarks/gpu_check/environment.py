# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What the GPU is, and what it can do at most: figures that the others are to be judged by."""

from collections.abc import Callable
from typing import Any

import torch

from gpu_check.report import Report
from gpu_check.setting import Setting
from gpu_check.table import all_versions, gpus

_SIDE = 8192  # of matrices
_BYTES = 1 << 28
_NODES = 1000


def check(report: Report, setting: Setting) -> None:
    for number, gpu in enumerate(gpus()):
        report.measured(f"nvidia-smi {number}", **gpu)
    capability = ".".join(map(str, torch.cuda.get_device_capability(setting.device)))
    name = torch.cuda.get_device_name(setting.device)
    report.measured("device", name=name, capability=capability, **all_versions())
    setting.need_gpu()
    with torch.cuda.device(setting.device):
        _measure(report)


def _measure(report: Report) -> None:
    """Matrix products, copies on the device and over the bus, and the cost of a kernel in a graph."""
    a = torch.randn(_SIDE, _SIDE, device="cuda", dtype=torch.bfloat16)
    b = torch.randn_like(a)
    report.measured("bf16 matrix product", tflops=2 * _SIDE**3 / event_ms(lambda: a @ b) / 1e9)
    here = torch.zeros(_BYTES, dtype=torch.uint8, device="cuda")
    there = torch.empty_like(here)
    report.measured("copy", terabytes_per_s=2 * _BYTES / event_ms(lambda: there.copy_(here)) / 1e9)
    image = torch.zeros(720 * 1280 * 3, dtype=torch.uint8).pin_memory()
    uploaded = image.cuda()
    upload = event_ms(lambda: uploaded.copy_(image, non_blocking=True)) * 1e3
    download = event_ms(lambda: image.copy_(uploaded, non_blocking=True)) * 1e3
    report.measured("720p image over the bus", upload_us=upload, download_us=download)
    small, graph = torch.ones(32, device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(_NODES):
            small = small + 1
    report.measured("kernel of a graph", microseconds=event_ms(graph.replay) / _NODES * 1e3)


def event_ms(run: Callable[[], Any], count: int = 10) -> float:
    """Mean milliseconds of a run on the GPU's own clock."""
    run()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / count
