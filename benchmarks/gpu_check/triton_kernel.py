# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The compiled Triton kernel that makes masks, against the same arithmetic of PyTorch on the CPU."""

import numpy as np
import torch
from torch import Tensor

from gpu_check.recordings import heard_warnings
from gpu_check.report import Report
from gpu_check.setting import Setting
from gpu_check.timing import repeated
from seg_node.models.rcnn.paste_batched import PasteRule, paste_on_device
from seg_node.types import MaskCrop

_CASES = 120
_MOST_DIFFERENT = 1e-5  # share of the pixels: those whose probability is at the threshold but for rounding


def check(report: Report, setting: Setting) -> None:
    setting.need_gpu()
    random = torch.Generator().manual_seed(0)
    differ = pixels = 0
    with heard_warnings(setting) as warned:
        for number in range(_CASES):
            size = (97, 131) if number % 20 else (1080, 1920)
            grid = (28, 14)[number % 3 == 0]
            rule: PasteRule = ("resize", "sample")[number % 2]  # type: ignore[assignment]
            probs, boxes = random_masks(1 + number % 37, grid, size, random)
            here = paste_on_device(probs, boxes, size, 0.5, rule)
            there = paste_on_device(probs.to(setting.device), boxes, size, 0.5, rule)
            differ += sum(different(one, two, size) for one, two in zip(here, there, strict=True))
            pixels += sum(crop.area for crop in here)
    problems = [f"warned: {text}" for text in warned]
    if differ > _MOST_DIFFERENT * pixels:
        problems.append(f"{differ} of {pixels} pixels differ")
    report.judge("against PyTorch", problems, cases=_CASES, pixels=pixels, differ=differ)
    for count in (1, 20, 100):
        probs, boxes = random_masks(count, 28, (720, 1280), random)
        on_gpu = probs.to(setting.device)
        times = repeated(
            lambda p=on_gpu, b=boxes: paste_on_device(p, b, (720, 1280), 0.5, "resize"), setting, 2
        )
        report.measured(f"{count} objects at 1280x720", **times)


def random_masks(
    count: int, grid: int, size: tuple[int, int], random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Probabilities (count, grid, grid) and boxes (count, 4), some reaching out of the (height, width)."""
    centres = torch.rand(count, 2, generator=random) * torch.tensor(size[::-1])
    sides = torch.rand(count, 2, generator=random) ** 3 * max(size) * 0.7
    probs = torch.rand(count, grid, grid, generator=random)
    return probs, torch.cat((centres - sides / 2, centres + sides / 2), dim=1)


def different(one: MaskCrop, two: MaskCrop, size: tuple[int, int]) -> int:
    return int((_whole(one, size) != _whole(two, size)).sum())


def _whole(crop: MaskCrop, size: tuple[int, int]) -> np.ndarray:
    canvas = np.zeros(size, np.bool_)
    canvas[crop.roi.slices] = crop.pixels
    return canvas
