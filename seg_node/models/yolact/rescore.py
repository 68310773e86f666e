# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask rescoring of YOLACT++ (Bolya et al. 2020, §6.3): scores times the mask's expected quality.

Source: dbolya/yolact `layers/output_utils.py: postprocess`, called by `eval.py: prep_display`.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.models.yolact.detect import YolactPrediction, without_fillers
from seg_node.models.yolact.masks import clear_outside, crop_windows, mix_prototypes
from seg_node.models.yolact.network import MaskIoUNet
from seg_node.types import SegmentOptions

# masks rated at a time on a GPU: cuDNN would search for its fastest algorithm for each new number
_BATCH = 100


def rescore(prediction: YolactPrediction, network: MaskIoUNet, options: SegmentOptions) -> YolactPrediction:
    """Rescore the prediction, sort it, and keep objects above options.score_threshold.

    Dropped objects become fillers (see `YolactPrediction`), which come last.
    """
    if len(prediction.scores) > _BATCH:
        prediction = without_fillers(prediction)  # waits once more, but saves memory for the fillers' masks
    if len(prediction.scores) == 0:
        return prediction
    masks = mix_prototypes(prediction.prototypes, prediction.coefficients)
    windows = crop_windows(prediction.boxes_rel, (masks.shape[1], masks.shape[2]))
    quality = _rate(network, clear_outside(masks, windows))
    scores = prediction.scores * quality[torch.arange(len(masks), device=masks.device), prediction.class_ids]
    kept = (prediction.scores >= 0) & (scores > options.score_threshold)
    scores, best = torch.where(kept, scores, -1).sort(descending=True, stable=True)
    best = best[: options.max_instances]
    return replace(
        prediction,
        boxes_rel=prediction.boxes_rel[best],
        scores=scores[: options.max_instances],
        class_ids=prediction.class_ids[best],
        coefficients=prediction.coefficients[best],
    )


def _rate(network: MaskIoUNet, masks: Tensor) -> Tensor:
    if not masks.is_cuda:
        return network(masks)
    padded = F.pad(masks, (0, 0, 0, 0, 0, -len(masks) % _BATCH))
    return torch.cat([network(some) for some in padded.split(_BATCH)])[: len(masks)]
