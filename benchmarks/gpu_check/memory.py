# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What graphs hold, for each new image size, and whether a closed engine gives its memory back."""

import gc

import torch

from gpu_check.frames import noise_frames
from gpu_check.report import Report
from gpu_check.setting import Setting
from seg_node.inference.engine import Engine
from seg_node.models.load import load_model

_SIZES = ((480, 640), (720, 1280), (640, 480), (480, 640))  # the network's input follows the aspect ratio
_ROUNDS = 3
_MOST_GROWTH_MB = 2.0


def check(report: Report, setting: Setting) -> None:
    setting.need_gpu()
    engine = Engine(load_model(), setting.device, "bf16")
    for size in _SIZES:
        before = _reserved_mb(setting.device)
        engine.segment(noise_frames(1, size)[0], engine.default_options)
        torch.cuda.empty_cache()
        after = _reserved_mb(setting.device)
        report.measured(f"after {size[1]}x{size[0]}", reserved_mb=after, more_mb=after - before)
    engine.close()
    del engine
    _close_again_and_again(report, setting)


def _close_again_and_again(report: Report, setting: Setting) -> None:
    """Memory of a first engine may stay with CUDA's libraries; that of later ones must not be added to it."""
    gc.collect()
    gc.disable()  # the node's frames do not wait for the collector
    held = []
    for _ in range(_ROUNDS):
        engine = Engine(load_model(), setting.device, "bf16")
        for size in _SIZES[:2]:
            engine.segment(noise_frames(1, size)[0], engine.default_options)
        engine.close()
        del engine
        held.append(torch.cuda.memory_allocated(setting.device) / 1e6)
    gc.enable()
    growth = held[-1] - held[0]
    problems = [f"each close() leaves {growth / (_ROUNDS - 1):.0f} MB"] if growth > _MOST_GROWTH_MB else []
    report.judge("after close()", problems, held_mb=held[0], growth_mb=growth, rounds=_ROUNDS)


def _reserved_mb(device: torch.device) -> float:
    return torch.cuda.memory_reserved(device) / 1e6
