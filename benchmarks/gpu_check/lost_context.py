# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""After a failed assertion in a kernel the process has lost the GPU: which errors say so?

The node ends its process on them, so that a supervisor starts another one.
"""

from collections.abc import Callable
from typing import Any

import torch

from gpu_check.frames import noise_frames
from gpu_check.report import Report
from gpu_check.setting import Setting
from seg_node.inference.engine import Engine
from seg_node.models.load import load_model


def check(report: Report, setting: Setting) -> None:
    setting.need_gpu()
    engine = Engine(load_model(), setting.device, "bf16")
    (frame,) = noise_frames(1, (480, 640))
    engine.segment(frame, engine.default_options)
    index = torch.tensor([9], device=setting.device)
    first = _error(lambda: torch.zeros(4, device=setting.device)[index].sum().item())
    later = _error(lambda: engine.segment(frame, engine.default_options))
    waiting = _error(lambda: torch.cuda.synchronize(setting.device))
    problems = [
        f"{name} raised nothing"
        for name, error in (("a frame", later), ("synchronize", waiting))
        if not error
    ]
    report.judge("a device-side assert", problems, first=first, frame=later, synchronize=waiting)


def _error(run: Callable[[], Any]) -> str:
    """Class and first line of what it raises; empty for nothing."""
    try:
        run()
    except Exception as error:
        names = ".".join((type(error).__module__, type(error).__qualname__))
        return f"{names}: {(str(error).splitlines() or [''])[0][:120]}"
    return ""
