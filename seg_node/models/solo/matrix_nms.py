# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Matrix NMS (Wang et al. 2020, SOLOv2 §3.3): overlapped masks get a lower score instead of being removed."""

from typing import Literal

import torch
from torch import Tensor


def matrix_nms(
    masks: Tensor,
    class_ids: Tensor,
    scores: Tensor,
    kernel: Literal["gaussian", "linear"] = "gaussian",
    sigma: float = 2.0,
) -> Tensor:
    """Lower the scores (N,) of masks that better masks of the same class overlap.

    masks: bool (N, h, w), by falling score. class_ids: int64 (N,). scores: float (N,).
    sigma: factor in the Gaussian's exponent.
    Source: WXinlong/SOLO `mmdet/core/post_processing/matrix_nms.py: matrix_nms`.
    """
    if len(scores) == 0:
        return scores
    overlap = overlaps_with_better(masks, class_ids)
    worst = overlap.amax(dim=0)[:, None]  # how much each mask is itself overlapped
    if kernel == "gaussian":
        decay = torch.exp(-sigma * overlap**2) / torch.exp(-sigma * worst**2)
    else:
        decay = (1 - overlap) / (1 - worst)
    return scores * decay.amin(dim=0)


def overlaps_with_better(masks: Tensor, class_ids: Tensor) -> Tensor:
    """Compute (N, N): the IoU at [i, j] if i < j and the classes are equal, else 0; see `matrix_nms`."""
    flat = masks.flatten(1).float()  # sums below 2**24, so exact
    areas = flat.sum(dim=1)
    shared = flat @ flat.T
    overlap = shared / (areas[:, None] + areas - shared).clamp_(min=1)  # two empty masks share nothing
    return (overlap * (class_ids[:, None] == class_ids)).triu(diagonal=1)


def hard_nms(masks: Tensor, class_ids: Tensor, iou_threshold: float) -> Tensor:
    """Keep masks that no better kept mask of their class overlaps by more than the threshold: bool (N,).

    Arguments as in `matrix_nms`.
    Source: AdelaiDet `adet/modeling/solov2/utils.py: mask_nms`.
    """
    suppresses = (overlaps_with_better(masks, class_ids) > iou_threshold).cpu()
    # pinned memory: the host does not wait for the upload
    kept = torch.ones(len(masks), dtype=torch.bool, pin_memory=masks.is_cuda)
    for suppressed, is_kept in zip(suppresses, kept, strict=True):
        if is_kept:
            kept &= ~suppressed
    return kept.to(masks.device, non_blocking=True)
