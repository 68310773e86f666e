# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Detections from the network's outputs: non-maximum suppression where the network does not select itself.

Source: the reference's answers to outputs made for the purpose.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import nms

from seg_node.types import SegmentOptions

_MOST_CANDIDATES = 30_000  # best-scored boxes that enter the suppression, as in the reference
# pixels between boxes of different classes, more than any input has: they never overlap
_CLASS_SHIFT = 7680


@dataclass(frozen=True)
class Detections:
    """N objects, best first.

    boxes_xyxy: float (N, 4), pixels of the network's input. scores: float (N,). class_ids: int64 (N,) from 0.
    coefficients: float (N, K), of the prototypes.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    class_ids: Tensor
    coefficients: Tensor

    def select(self, indices: Tensor) -> "Detections":
        """Select by indices or a mask, (n,)."""
        return Detections(
            self.boxes_xyxy[indices],
            self.scores[indices],
            self.class_ids[indices],
            self.coefficients[indices],
        )


def suppress(anchors: Tensor, num_classes: int, options: SegmentOptions, across_classes: bool) -> Detections:
    """Select from all anchors, each as its best class only.

    anchors: float (4 + classes + K, A): centre x, y, width, height, class scores, coefficients.
    across_classes: boxes of other classes are suppressed too.
    """
    scores, class_ids = anchors[4 : 4 + num_classes].max(dim=0)
    kept = (scores > options.score_threshold) & _is_wanted(class_ids, options)
    indices = kept.nonzero()[:, 0]
    candidates = anchors[:, indices]
    centres, sizes = candidates[:2].t(), candidates[2:4].t()
    found = Detections(
        torch.cat((centres - sizes / 2, centres + sizes / 2), dim=1),
        scores[indices],
        class_ids[indices],
        candidates[4 + num_classes :].t(),
    )
    if len(indices) > _MOST_CANDIDATES:
        found = found.select(found.scores.argsort(descending=True)[:_MOST_CANDIDATES])
    shift = 0 if across_classes else found.class_ids[:, None] * float(_CLASS_SHIFT)
    best = nms(found.boxes_xyxy + shift, found.scores, options.nms_threshold)
    return found.select(best[: options.max_instances])


def read_selected(rows: Tensor, num_classes: int, options: SegmentOptions) -> Detections:
    """Read what the network has selected, float (N, 6 + K): corners, score, class, coefficients."""
    class_ids = rows[:, 5].long()
    kept = (rows[:, 4] > options.score_threshold) & (class_ids >= 0) & (class_ids < num_classes)
    rows = rows[kept & _is_wanted(class_ids, options)]
    rows = rows[: options.max_instances]
    rows = rows[rows[:, 4].argsort(descending=True, stable=True)]
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].long(), rows[:, 6:])


def _is_wanted(class_ids: Tensor, options: SegmentOptions) -> Tensor:
    if options.classes is None:
        return torch.ones_like(class_ids, dtype=torch.bool)
    wanted = torch.tensor(sorted(options.classes), dtype=class_ids.dtype, device=class_ids.device)
    return (class_ids[:, None] == wanted).any(dim=1)
