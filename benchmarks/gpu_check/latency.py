# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN R50-FPN at 1280x720, pixels in host memory to encoded masks: latency, and batches."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from common.cells import encode_all
from common.pictures import pictures
from common.random_checkpoints import write_checkpoint

from gpu_check.recordings import heard_warnings, noted_waits
from gpu_check.report import Report
from gpu_check.setting import Setting
from gpu_check.timing import milliseconds, repeated
from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.types import Frame

_BATCHES = (2, 4, 8)


def check(report: Report, setting: Setting) -> None:
    family, size, precisions = ("mask_rcnn", (720, 1280), ("bf16", "fp16", "fp32", "exact"))
    if setting.pretend:
        family, size, precisions = ("thin", (90, 160), ("bf16",))
    with tempfile.TemporaryDirectory() as folder:
        weights, config = write_checkpoint(family, Path(folder))
        frames = pictures(size, max(_BATCHES))
        for precision in precisions:
            engine = Engine(load_model("auto", weights, config), setting.device, precision)
            batches = _BATCHES if precision == precisions[0] and not setting.pretend else ()
            measure(report, setting, engine, frames, batches)
            engine.close()


def measure(
    report: Report, setting: Setting, engine: Engine, frames: list[Frame], batches: tuple[int, ...]
) -> None:
    """A row for single frames, which has the medians of the stages, and one for each size of batch."""
    options = replace(engine.default_options, score_threshold=0.5, panoptic=bool(engine.labels.stuff))
    stages: list[dict[str, float]] = []
    place = objects = 0

    def one_frame(count: int = 1) -> None:
        nonlocal place, objects
        chosen = [frames[(place + i) % len(frames)] for i in range(count)]
        place += count
        found = engine.segment_batch(chosen, options)
        encode_all([one.instances.masks for one in found], chosen)
        stages.append(dict(found[0].stage_ms))
        objects = len(found[0].instances)

    with heard_warnings(setting) as warned:
        first = milliseconds(one_frame)
        stages.clear()
        times = repeated(one_frame, setting, 5)
        middle = {f"{name}_ms": sorted(s[name] for s in stages)[len(stages) // 2] for name in stages[0]}
        figures = {**times, **middle, "first_ms": first, "objects": objects}
        if not setting.pretend:
            with noted_waits() as waits:
                one_frame()
            figures |= {"waits": len(waits), "peak_mb": torch.cuda.max_memory_allocated(setting.device) / 1e6}
    report.judge(engine.precision, [f"warned: {text}" for text in warned], **figures)
    for count in batches:
        first = milliseconds(lambda count=count: one_frame(count))
        times = repeated(lambda count=count: one_frame(count), setting, 2, 100)
        rate = count / times["p50_ms"] * 1e3
        report.measured(f"{engine.precision}, batch of {count}", frames_per_s=rate, first_ms=first, **times)
