# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What each precision changes, by the embedded model, whose weights mean something; does float16 overflow?"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from common.agreement import agreement
from common.pictures import pictures
from numpy.typing import NDArray
from torch import Tensor, nn

from gpu_check.report import Report
from gpu_check.setting import HOST, Setting
from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.types import Segmentation

# mean IoU with the best partner; emulated: fp16 0.9996, bf16 0.954
_LEAST_IOU = {"exact": 0.99, "fp32": 0.99, "bf16": 0.9, "fp16": 0.98}


def check(report: Report, setting: Setting) -> None:
    frames = pictures((480, 640), 1 if setting.pretend else 12)
    host = Engine(load_model(), HOST, "exact")
    options = replace(host.default_options, score_threshold=0.5)
    expected = [host.segment(frame, options) for frame in frames]
    for precision, least in _LEAST_IOU.items():
        model = load_model()
        engine = Engine(model, setting.device, precision)
        peaks = [_peak_of(layer, setting.device) for layer in model.network.modules()]
        found = [engine.segment(frame, options) for frame in frames]
        match = agreement([want.instances for want in expected], [got.instances for got in found])
        panoptic = np.mean([_class_map(g) == _class_map(w) for g, w in zip(found, expected, strict=True)])
        peak = float(torch.stack([peak.cpu() for peak in peaks]).max())  # NaN and infinity stay
        problems = (
            [] if match.mean_iou >= least else [f"mean IoU {match.mean_iou:.3f}, at least {least} is right"]
        )
        if not math.isfinite(peak):
            problems.append(f"a layer gives {peak}")
        report.judge(
            precision,
            problems,
            matched=match.matched,
            mean_iou=match.mean_iou,
            score_difference=match.score_difference,
            same_class=float(panoptic),
            largest_activation=peak,
        )
        engine.close()


def _class_map(found: Segmentation) -> NDArray[np.int64]:
    """The class of each pixel of the panoptic map, -1 for void."""
    assert found.panoptic is not None
    classes = np.full(np.iinfo(np.uint16).max + 1, -1)
    for segment in found.panoptic.segments:
        classes[segment.id] = segment.class_id
    return np.asarray(classes[found.panoptic.segment_map])


def _peak_of(layer: nn.Module, device: torch.device) -> Tensor:
    """The largest absolute output of the layer from now on, float32 (); graphs keep it up to date."""
    peak = torch.zeros((), device=device)

    def note(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.is_floating_point() and output.numel():
            peak.copy_(torch.maximum(peak, output.abs().amax().float()))

    layer.register_forward_hook(note)
    return peak
