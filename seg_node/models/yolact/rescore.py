"""Mask rescoring of YOLACT++ (Bolya et al. 2020, §6.3): scores times the mask's own expected quality.

Source: dbolya/yolact `layers/output_utils.py: postprocess`, as `eval.py: prep_display` calls it.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.models.yolact.detect import YolactPrediction, without_fillers
from seg_node.models.yolact.masks import clear_outside, crop_windows, mix_prototypes
from seg_node.models.yolact.network import MaskIoUNet
from seg_node.types import SegmentOptions

# masks rated at a time on a GPU: cuDNN would search its fastest algorithm for each new number
_AT_A_TIME = 100


def rescore(prediction: YolactPrediction, network: MaskIoUNet, options: SegmentOptions) -> YolactPrediction:
    """The prediction with its new scores: sorted by them, those above options.score_threshold.

    Fillers (see `YolactPrediction`) may be among them, last; what is left out becomes one.
    """
    if len(prediction.scores) > _AT_A_TIME:
        prediction = without_fillers(prediction)  # another wait, but no memory for the fillers' masks
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
    padded = F.pad(masks, (0, 0, 0, 0, 0, -len(masks) % _AT_A_TIME))
    return torch.cat([network(some) for some in padded.split(_AT_A_TIME)])[: len(masks)]
