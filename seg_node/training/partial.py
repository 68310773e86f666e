"""What pictures teach that are not labelled completely: nothing where an object may be that nobody drew."""

import torch
from torch import Tensor
from torchvision.ops import box_iou

NEAR = 0.05  # an anchor that overlaps a labelled box this much (IoU) was seen by the annotator
CROWDED = 0.5  # part of a box inside a crowd region from which on it teaches nothing
IGNORED = -1.0  # torchvision's label of an anchor that is not sampled


def possible_classes(logits: Tensor, labels: Tensor, exhaustive: Tensor) -> Tensor:
    """Class logits without those classes that a region without a label may be of.

    logits: (R, classes). labels: int64 (R,), 0 background. exhaustive: bool (R, classes), of the region's
    picture. A labelled object is of its class and of no other; a region without a label is of none of the
    exhaustive classes: whether it is of another one is not known, and it takes no part in the softmax.
    """
    ruled_in = exhaustive | (labels > 0)[:, None]
    ruled_in = torch.cat([torch.ones_like(ruled_in[:, :1]), ruled_in[:, 1:]], dim=1)
    return logits.masked_fill(~ruled_in, -torch.inf)


def ignore_unseen(anchor_labels: Tensor, anchors: Tensor, boxes: Tensor, exhaustive: bool) -> Tensor:
    """Anchor labels in which no background is taught where annotators may have left an object out.

    anchor_labels: float (A,): 1 object, 0 background, -1 ignored. anchors: (A, 4). boxes: (N, 4), labelled.
    In a picture that is not exhaustive only background that overlaps a labelled object a little counts.
    """
    if exhaustive:
        return anchor_labels
    near = box_iou(anchors, boxes).amax(1) >= NEAR if len(boxes) else torch.zeros_like(anchor_labels).bool()
    return torch.where((anchor_labels == 0) & ~near, IGNORED, anchor_labels)


def ignore_crowded(anchor_labels: Tensor, anchors: Tensor, crowds: Tensor) -> Tensor:
    """Anchor labels without background inside crowd regions. crowds: (M, 4)."""
    return torch.where((anchor_labels == 0) & inside_crowds(anchors, crowds), IGNORED, anchor_labels)


def inside_crowds(boxes: Tensor, crowds: Tensor) -> Tensor:
    """bool (N,): whether most of a box lies in one of the crowd regions (M, 4)."""
    if not len(crowds):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    low = torch.maximum(boxes[:, None, :2], crowds[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], crowds[None, :, 2:])
    common = (high - low).clamp(min=0).prod(2)  # (N, M)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (common > CROWDED * area[:, None]).any(1)
