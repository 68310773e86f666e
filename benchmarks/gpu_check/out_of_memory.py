# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Memory that runs out while a graph is recorded: an error of its own, and the next frame as before."""

import torch

from gpu_check.frames import noise_frames
from gpu_check.recordings import counted_graphs, heard_warnings
from gpu_check.report import Report
from gpu_check.setting import Setting
from seg_node.inference.engine import Engine, OutOfMemory
from seg_node.models.load import load_model
from seg_node.types import Frame

_SMALL, _NEW = (480, 640), (720, 1280)
# MB beyond what the first graph holds: from too few for the image itself to enough for its graph
_ROOMS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)


def check(report: Report, setting: Setting) -> None:
    setting.need_gpu()
    engine = Engine(load_model(), setting.device, "bf16")
    (small,), (new,) = noise_frames(1, _SMALL), noise_frames(1, _NEW)
    before = engine.segment(small, engine.default_options)
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved(setting.device)
    everything = torch.cuda.get_device_properties(setting.device).total_memory
    failures, recordings, room = 0, 0, 0
    with heard_warnings(setting) as warned, counted_graphs() as graphs:
        for room in _ROOMS:
            torch.cuda.set_per_process_memory_fraction((held + room * 1e6) / everything, setting.device)
            if _fits(engine, new):
                break
            failures += 1
        recordings = graphs.failed
    torch.cuda.set_per_process_memory_fraction(1.0, setting.device)
    with counted_graphs() as graphs:
        after = [engine.segment(small, engine.default_options) for _ in range(2)]
    problems = []
    if any(len(one.instances) != len(before.instances) for one in after):
        problems.append("the frame after it gives other objects")
    if not graphs.replayed or any("CUDA graphs" in text for text in warned):
        problems.append("graphs are given up")
    report.judge(
        "a new size with too little memory",
        problems,
        out_of_memory=failures,
        while_recording=recordings,
        fitted_with_mb=room,
        recorded_again=graphs.recorded,
    )


def _fits(engine: Engine, frame: Frame) -> bool:
    try:
        engine.segment(frame, engine.default_options)
    except OutOfMemory:
        return False
    return True
