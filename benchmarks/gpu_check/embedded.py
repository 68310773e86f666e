# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded model at 640x480: latency in each precision, batches, and cameras that come and go."""

import random
from dataclasses import replace

from common.pictures import pictures

from gpu_check.latency import measure
from gpu_check.recordings import counted_graphs
from gpu_check.report import Report
from gpu_check.setting import Setting
from gpu_check.timing import milliseconds, percentiles
from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.types import Frame

_ROUNDS = 60
_CAMERAS = 6


def check(report: Report, setting: Setting) -> None:
    frames = pictures((480, 640), 8)
    for precision in ("bf16",) if setting.pretend else ("bf16", "fp16", "fp32", "exact"):
        engine = Engine(load_model(), setting.device, precision)
        measure(report, setting, engine, frames, (2, 4, 8) if precision == "fp16" else ())
        if precision == "bf16":
            _cameras(report, setting, engine, frames)
        engine.close()


def _cameras(report: Report, setting: Setting, engine: Engine, frames: list[Frame]) -> None:
    """Images of one to six cameras wait together, as chance has it: how often is a graph recorded?"""
    options = replace(engine.default_options, score_threshold=0.5)
    choice = random.Random(0)
    counts = [choice.randint(1, _CAMERAS) for _ in range(2 if setting.pretend else _ROUNDS)]
    with counted_graphs() as graphs:
        times = [
            milliseconds(lambda count=count: engine.segment_batch(frames[:count], options))
            for count in counts
        ]
    report.measured(
        f"1 to {_CAMERAS} cameras at random",
        rounds=len(times),
        recorded=graphs.recorded,
        worst_ms=max(times),
        **percentiles(times),
    )
