# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Training on pictures that are not exhaustive: ignore places where undrawn objects may be."""

import torch
from torch import Tensor
from torchvision.ops import box_iou

NEAR = 0.05  # an annotator has seen anchors that overlap a labelled box by this IoU
CROWDED = 0.5  # boxes are ignored from this share inside a crowd region
IGNORED = -1.0  # torchvision's label of an anchor that is not sampled


def possible_classes(logits: Tensor, labels: Tensor, exhaustive: Tensor) -> Tensor:
    """Mask the class logits of classes that an unlabelled region may belong to.

    logits: (R, classes). labels: int64 (R,), 0 background. exhaustive: bool (R, classes), of the region's
    picture. A labelled object belongs to its class only. An unlabelled region belongs to no exhaustive class;
    whether it belongs to another one is unknown, so that the softmax leaves those out.
    """
    ruled_in = exhaustive | (labels > 0)[:, None]
    ruled_in = torch.cat([torch.ones_like(ruled_in[:, :1]), ruled_in[:, 1:]], dim=1)
    return logits.masked_fill(~ruled_in, -torch.inf)


def ignore_unseen(anchor_labels: Tensor, anchors: Tensor, boxes: Tensor, exhaustive: bool) -> Tensor:
    """Ignore background anchors where annotators may have left an object out.

    anchor_labels: float (A,): 1 object, 0 background, -1 ignored. anchors: (A, 4). boxes: (N, 4), labelled.
    In a picture that is not exhaustive, only background that overlaps a labelled object slightly counts.
    """
    if exhaustive:
        return anchor_labels
    near = box_iou(anchors, boxes).amax(1) >= NEAR if len(boxes) else torch.zeros_like(anchor_labels).bool()
    return torch.where((anchor_labels == 0) & ~near, IGNORED, anchor_labels)


def ignore_crowded(anchor_labels: Tensor, anchors: Tensor, crowds: Tensor) -> Tensor:
    """Ignore background anchors inside crowd regions. crowds: (M, 4)."""
    return torch.where((anchor_labels == 0) & inside_crowds(anchors, crowds), IGNORED, anchor_labels)


def inside_crowds(boxes: Tensor, crowds: Tensor) -> Tensor:
    """Return bool (N,): whether more than half of a box lies in one of the crowd regions (M, 4)."""
    if not len(crowds):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    low = torch.maximum(boxes[:, None, :2], crowds[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], crowds[None, :, 2:])
    common = (high - low).clamp(min=0).prod(2)  # (N, M)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (common > CROWDED * area[:, None]).any(1)
