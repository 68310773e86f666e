# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN's selections with fixed shapes: no step waits for a number from the GPU.

CUDA graphs need this. Where the plain path (`rpn.py`, `roi_heads.py`) continues with as many boxes as it
found, this one pads to the maximum with a validity mask; results are identical.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seg_node.models.rcnn.boxes import clip_boxes, decode_boxes
from seg_node.models.rcnn.roi_heads import wanted_classes
from seg_node.models.rcnn.rpn import RegionProposals
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.models.rcnn.suppression import suppress
from seg_node.types import SegmentOptions

CANDIDATES = 1024  # pairs of proposal and class above the score threshold that enter suppression
# rounds of suppression: longest chain of boxes that depend on each other; up to 9 and 4 were observed
PROPOSAL_ROUNDS = 12
OBJECT_ROUNDS = 8


@dataclass(frozen=True)
class Selection:
    """The options that the network needs; equal selections can share a graph.

    The thresholds may be 0-dimensional tensors on the network's device, which every replay of a graph reads.
    """

    score_threshold: float | Tensor
    nms_threshold: float | Tensor
    max_instances: int
    classes: frozenset[int] | None
    panoptic: bool


def selection_of(options: SegmentOptions) -> Selection:
    return Selection(
        options.score_threshold,
        options.nms_threshold,
        options.max_instances,
        options.classes,
        options.panoptic,
    )


@dataclass(frozen=True)
class Kept:
    """The best objects of N images, padded to M each: boxes (N, M, 4), scores and class_ids (N, M).

    valid: bool (N, M), False for padding, which comes last. complete: bool (N,), whether the fixed numbers
    sufficed.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    class_ids: Tensor
    valid: Tensor
    complete: Tensor


def propose(
    rpn: RegionProposals,
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    sizes: Sequence[tuple[int, int]],
    padded_size: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best proposals (N, P, 4), their validity (N, P), and whether suppression converged (N,)."""
    settings, count = rpn.settings, len(sizes)
    most = settings.proposals_per_level
    boxes, scores, counts = rpn.candidates(logits, deltas, padded_size)
    boxes = _lists_of_levels(clip_boxes(boxes, sizes), counts, most, 0.0)  # (N, levels, K, 4)
    scores = _lists_of_levels(scores, counts, most, -torch.inf)
    large = ((boxes[..., 2:] - boxes[..., :2]) >= settings.proposal_min_side).all(dim=-1)
    valid = large & scores.isfinite()
    kept, converged = suppress(
        boxes.flatten(0, 1), valid.flatten(0, 1), settings.proposal_nms_threshold, PROPOSAL_ROUNDS
    )
    scores = scores.flatten(1).masked_fill(~kept.view(count, -1), -torch.inf)
    number = min(settings.proposals, scores.shape[1])
    best, indices = scores.topk(number, dim=1)
    valid = best > -torch.inf
    return _boxes_at(boxes.flatten(1, 2), indices, valid), valid, converged.view(count, -1).all(dim=1)


def _lists_of_levels(values: Tensor, counts: Sequence[int], most: int, filler: float) -> Tensor:
    """Pad (N, K, …), level after level with `counts` of each, to (N, levels, most, …)."""
    parts = []
    for part in values.split(list(counts), dim=1):
        parts.append(part)
        if part.shape[1] < most:
            parts.append(part.new_full((len(part), most - part.shape[1], *part.shape[2:]), filler))
    return torch.cat(parts, dim=1).unflatten(1, (len(counts), most))


def _boxes_at(boxes: Tensor, indices: Tensor, valid: Tensor) -> Tensor:
    """Gather boxes from (N, K, 4), zeros for invalid ones: pooling a large box is slow, a NaN box fails.

    indices, valid: (N, M).
    """
    chosen = boxes.gather(1, indices[..., None].expand(-1, -1, 4))
    return chosen.masked_fill(~valid[..., None], 0.0)


def detect(
    settings: RCNNSettings,
    proposals: Tensor,
    valid: Tensor,
    logits: Tensor,
    deltas: Tensor,
    sizes: Sequence[tuple[int, int]],
    selection: Selection,
) -> Kept:
    """Select the best objects. proposals: (N, P, 4). valid: (N, P). logits, deltas: (N·P, …)."""
    count, number = valid.shape
    scores = logits.softmax(-1).view(count, number, -1)
    classes = scores.shape[-1]
    wanted = (scores > selection.score_threshold) & valid[..., None]
    wanted &= wanted_classes(selection.classes, scores, settings)
    candidates = min(CANDIDATES, number * classes)
    complete = wanted.flatten(1).sum(dim=1) <= candidates
    scores, indices = scores.masked_fill(~wanted, -1.0).flatten(1).topk(candidates, dim=1)  # (N, K)
    proposal = indices // classes
    class_ids = (indices % classes) * (scores >= 0)  # padding: 0, since a last background has no deltas
    deltas = deltas.view(count, number, -1, 4)
    box_class = class_ids if deltas.shape[2] > 1 else torch.zeros_like(class_ids)
    image = torch.arange(count, device=indices.device)[:, None]
    chosen = deltas[image, proposal, box_class].flatten(0, 1)
    references = proposals[image, proposal].flatten(0, 1)
    boxes = clip_boxes(decode_boxes(chosen, references, settings.box_weights).view(count, -1, 4), sizes)
    large = ((boxes[..., 2:] - boxes[..., :2]) >= settings.box_min_side).all(dim=-1)
    accepted = large & (scores >= 0)
    kept, converged = suppress(boxes, accepted, selection.nms_threshold, OBJECT_ROUNDS, class_ids)
    best, order = scores.masked_fill(~kept, -1.0).topk(min(selection.max_instances, candidates), dim=1)
    valid = best >= 0
    class_ids = class_ids.gather(1, order)
    return Kept(_boxes_at(boxes, order, valid), best, class_ids, valid, complete & converged)


def pack(kept: Kept, converged: Tensor) -> Tensor:
    """Pack all numbers of an image into one row for a single download: float32 (N, n).

    converged: bool (N,), whether the suppression of proposals converged.
    """
    numbers = kept.valid.sum(dim=1), kept.complete & converged
    parts = [kept.boxes_xyxy, kept.scores, kept.class_ids]
    return torch.cat([*(n[:, None].float() for n in numbers), *(p.flatten(1).float() for p in parts)], dim=1)


def unpack_row(row: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Unpack one row of `pack`: boxes (n, 4), scores (n,) and class ids (n,).

    None if the fixed numbers did not suffice for the image.
    """
    number, complete = row[:2].tolist()
    if not complete:
        return None
    most, count = (len(row) - 2) // 6, int(number)
    boxes, scores, class_ids = row[2:].split([4 * most, most, most])
    return boxes.view(most, 4)[:count], scores[:count], class_ids[:count].to(torch.int64)
