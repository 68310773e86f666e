"""Mask rescoring of YOLACT++ (Bolya et al. 2020, §6.3): scores times the mask's own expected quality.

Source: dbolya/yolact `layers/output_utils.py: postprocess`, as `eval.py: prep_display` calls it.
"""

from dataclasses import replace

import torch

from seg_node.models.yolact.detect import YolactPrediction
from seg_node.models.yolact.masks import clear_outside, crop_windows, mix_prototypes
from seg_node.models.yolact.network import MaskIoUNet
from seg_node.types import SegmentOptions


def rescore(prediction: YolactPrediction, network: MaskIoUNet, options: SegmentOptions) -> YolactPrediction:
    """The prediction with its new scores: sorted by them, those above options.score_threshold."""
    if len(prediction.scores) == 0:
        return prediction
    masks = mix_prototypes(prediction.prototypes, prediction.coefficients)
    windows = crop_windows(prediction.boxes_rel, (masks.shape[1], masks.shape[2]))
    quality = network(clear_outside(masks, windows))
    scores = prediction.scores * quality[torch.arange(len(masks), device=masks.device), prediction.class_ids]
    best = scores.argsort(descending=True)[: options.max_instances]
    best = best[scores[best] > options.score_threshold]
    return replace(
        prediction,
        boxes_rel=prediction.boxes_rel[best],
        scores=scores[best],
        class_ids=prediction.class_ids[best],
        coefficients=prediction.coefficients[best],
    )
