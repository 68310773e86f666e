# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A family's network as a CUDA graph: first frame, first new size, later ones, against the CPU."""

import tempfile
from pathlib import Path

import numpy as np
from common.agreement import agreement

from gpu_check.families import Load, thin_family
from gpu_check.frames import noise_frames
from gpu_check.recordings import counted_graphs, heard_warnings
from gpu_check.report import Report
from gpu_check.setting import HOST, Setting
from gpu_check.timing import milliseconds
from seg_node.inference.engine import Engine
from seg_node.models.model import DenseModel
from seg_node.types import Segmentation

# random weights put candidates of nearly equal scores in another order when sums are rounded otherwise
_LEAST_MATCHED = 0.9
_SIZES = ((150, 200), (200, 150))


def check(report: Report, setting: Setting) -> None:
    with tempfile.TemporaryDirectory() as folder:
        load = thin_family(setting.argument, Path(folder))
        host = Engine(load(), HOST, "exact")
        expected = [host.segment(noise_frames(1, size)[0], host.default_options) for size in _SIZES]
        for precision in ("exact", "fp32", "bf16", "fp16"):
            try:
                _check_precision(report, setting, load, precision, expected)
            except Exception as error:
                report.judge(precision, [f"{type(error).__name__}: {str(error)[:200]}"])
                if "CUDA error" in str(error):
                    return  # the process has lost the GPU


def _check_precision(
    report: Report, setting: Setting, load: Load, precision: str, expected: list[Segmentation]
) -> None:
    found: list[Segmentation] = []
    times: dict[str, float] = {}
    with counted_graphs() as graphs, heard_warnings(setting) as warned:
        model = load()
        can_record = isinstance(model, DenseModel)
        engine = Engine(model, setting.device, precision)
        for name, size in zip(("first", "new_size"), _SIZES, strict=True):
            (frame,) = noise_frames(1, size)
            first = milliseconds(
                lambda frame=frame: found.append(engine.segment(frame, engine.default_options))
            )
            times[f"{name}_ms"] = first
            found.append(engine.segment(frame, engine.default_options))
    problems = [f"warned: {text}" for text in warned]
    if graphs.failed or (can_record and precision != "exact" and not (graphs.recorded and graphs.replayed)):
        problems.append("frames were not replayed from recorded graphs")
    problems += _wrong(found, expected, precision)
    matched = agreement([want.instances for want in expected], [got.instances for got in found[::2]])
    report.judge(
        precision,
        problems,
        recorded=graphs.recorded,
        failed=graphs.failed,
        replayed=graphs.replayed,
        objects=f"{sum(len(got.instances) for got in found[::2])}/{sum(len(w.instances) for w in expected)}",
        matched=matched.matched,
        mean_iou=matched.mean_iou,
        score_difference=matched.score_difference,
        **times,
    )


def _wrong(found: list[Segmentation], expected: list[Segmentation], precision: str) -> list[str]:
    """found: each image twice."""
    problems = []
    if not all(np.isfinite(one.instances.scores).all() for one in found):
        problems.append("scores that are not finite")
    if not all(np.isfinite(one.instances.boxes_xyxy).all() for one in found):
        problems.append("boxes that are not finite")
    again = agreement([one.instances for one in found[::2]], [one.instances for one in found[1::2]])
    if again.matched < _LEAST_MATCHED:
        problems.append(f"the same image twice: {again.matched:.2f} of the objects matched")
    if precision in ("exact", "fp32"):
        share = agreement([e.instances for e in expected], [one.instances for one in found[::2]]).matched
        if share < _LEAST_MATCHED:
            problems.append(f"{share:.2f} of the CPU's objects matched")
    return problems
