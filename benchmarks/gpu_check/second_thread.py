# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Graphs that are recorded while another thread of the process uses CUDA, as a user's code may."""

import threading

import torch

from gpu_check.frames import noise_frames
from gpu_check.recordings import counted_graphs, heard_warnings
from gpu_check.report import Report
from gpu_check.setting import Setting
from seg_node.inference.engine import Engine
from seg_node.models.load import load_model

_SIZES = ((120, 160), (160, 120), (140, 140), (120, 240))  # each makes another input, so another graph


def check(report: Report, setting: Setting) -> None:
    setting.need_gpu()
    engine = Engine(load_model(), setting.device, "bf16")
    stop, errors, rounds = threading.Event(), [], [0]
    other = threading.Thread(target=_use_cuda, args=(setting.device, stop, errors, rounds))
    with counted_graphs() as graphs, heard_warnings(setting) as warned:
        other.start()
        try:
            for size in _SIZES:
                engine.segment(noise_frames(1, size)[0], engine.default_options)
        finally:
            stop.set()
            other.join()
    problems = [f"warned: {text}" for text in warned]
    if graphs.failed:
        problems.append(f"{graphs.failed} recordings failed")
    if errors:
        problems.append(f"{len(errors)} calls of the other thread failed: {errors[0]}")
    report.judge("recording", problems, recorded=graphs.recorded, other_rounds=rounds[0])


def _use_cuda(device: torch.device, stop: threading.Event, errors: list[str], rounds: list[int]) -> None:
    """Allocates, computes, waits and frees, on a stream of its own, until it is stopped."""
    stream = torch.cuda.Stream(device)
    while not stop.is_set():
        try:
            with torch.cuda.stream(stream):
                (torch.rand(1 << 20, device=device) + 1).sum().item()
            torch.cuda.empty_cache()
        except RuntimeError as error:
            errors.append(str(error).splitlines()[0][:200])
        rounds[0] += 1
