"""Mask R-CNN's selections with every shape known beforehand: no step waits for a number from the GPU.

That is what CUDA graphs need. Where the plain way (`rpn.py`, `roi_heads.py`) goes on with as many boxes as
there are, this one goes on with the most there may be and notes which of them count. The same come out.
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

CANDIDATES = 1024  # pairs of proposal and class above the score threshold that suppression looks at
# rounds of suppression: how long a chain of boxes that depend on each other may be; up to 9 and 4 were needed
PROPOSAL_ROUNDS = 12
OBJECT_ROUNDS = 8


@dataclass(frozen=True)
class Selection:
    """What a score decides, as far as the network needs it; equal ones can share a graph.

    The thresholds may be 0-dimensional tensors on the network's device, read whenever a graph is replayed.
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
    """The first boxes of N images, M of each: boxes (N, M, 4), scores and class_ids (N, M).

    counted: bool (N, M), which of them are there at all: the first ones. complete: bool (N,), whether the
    fixed numbers sufficed.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    class_ids: Tensor
    counted: Tensor
    complete: Tensor


def propose(
    rpn: RegionProposals,
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    sizes: Sequence[tuple[int, int]],
    padded_size: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """The best proposals (N, P, 4), which of them are there, bool (N, P), and whether that is final, (N,)."""
    settings, count = rpn.settings, len(sizes)
    most = settings.proposals_per_level
    boxes, scores, counts = rpn.candidates(logits, deltas, padded_size)
    boxes = _lists_of_levels(clip_boxes(boxes, sizes), counts, most, 0.0)  # (N, levels, K, 4)
    scores = _lists_of_levels(scores, counts, most, -torch.inf)
    large = ((boxes[..., 2:] - boxes[..., :2]) >= settings.proposal_min_side).all(dim=-1)
    counted = large & scores.isfinite()
    kept, final = suppress(
        boxes.flatten(0, 1), counted.flatten(0, 1), settings.proposal_nms_threshold, PROPOSAL_ROUNDS
    )
    scores = scores.flatten(1).masked_fill(~kept.view(count, -1), -torch.inf)
    number = min(settings.proposals, scores.shape[1])
    best, indices = scores.topk(number, dim=1)
    counted = best > -torch.inf
    return _boxes_at(boxes.flatten(1, 2), indices, counted), counted, final.view(count, -1).all(dim=1)


def _lists_of_levels(values: Tensor, counts: Sequence[int], most: int, filler: float) -> Tensor:
    """(N, K, …), level behind level, `counts` of each → (N, levels, most, …)."""
    parts = []
    for part in values.split(list(counts), dim=1):
        parts.append(part)
        if part.shape[1] < most:
            parts.append(part.new_full((len(part), most - part.shape[1], *part.shape[2:]), filler))
    return torch.cat(parts, dim=1).unflatten(1, (len(counts), most))


def _boxes_at(boxes: Tensor, indices: Tensor, counted: Tensor) -> Tensor:
    """The chosen of (N, K, 4), zeros for those that do not count: to pool a large one costs, a NaN one fails.

    indices, counted: (N, M).
    """
    chosen = boxes.gather(1, indices[..., None].expand(-1, -1, 4))
    return chosen.masked_fill(~counted[..., None], 0.0)


def detect(
    settings: RCNNSettings,
    proposals: Tensor,
    counted: Tensor,
    logits: Tensor,
    deltas: Tensor,
    sizes: Sequence[tuple[int, int]],
    selection: Selection,
) -> Kept:
    """The best objects. proposals: (N, P, 4), counted: (N, P). logits, deltas: of the box head, (N·P, …)."""
    count, number = counted.shape
    scores = logits.softmax(-1).view(count, number, -1)
    classes = scores.shape[-1]
    wanted = (scores > selection.score_threshold) & counted[..., None]
    wanted &= wanted_classes(selection.classes, scores, settings)
    candidates = min(CANDIDATES, number * classes)
    complete = wanted.flatten(1).sum(dim=1) <= candidates
    scores, indices = scores.masked_fill(~wanted, -1.0).flatten(1).topk(candidates, dim=1)  # (N, K)
    proposal = indices // classes
    class_ids = (indices % classes) * (scores >= 0)  # fillers: 0, as a last background has no deltas
    deltas = deltas.view(count, number, -1, 4)
    box_class = class_ids if deltas.shape[2] > 1 else torch.zeros_like(class_ids)
    image = torch.arange(count, device=indices.device)[:, None]
    chosen = deltas[image, proposal, box_class].flatten(0, 1)
    references = proposals[image, proposal].flatten(0, 1)
    boxes = clip_boxes(decode_boxes(chosen, references, settings.box_weights).view(count, -1, 4), sizes)
    large = ((boxes[..., 2:] - boxes[..., :2]) >= settings.box_min_side).all(dim=-1)
    kept, final = suppress(boxes, large & (scores >= 0), selection.nms_threshold, OBJECT_ROUNDS, class_ids)
    best, order = scores.masked_fill(~kept, -1.0).topk(min(selection.max_instances, candidates), dim=1)
    counted = best >= 0
    class_ids = class_ids.gather(1, order)
    return Kept(_boxes_at(boxes, order, counted), best, class_ids, counted, complete & final)


def pack(kept: Kept, settled: Tensor) -> Tensor:
    """All numbers of an image in one row, float32 (N, n), so that one download brings them.

    settled: bool (N,), whether the proposals are final.
    """
    numbers = kept.counted.sum(dim=1), kept.complete & settled
    parts = [kept.boxes_xyxy, kept.scores, kept.class_ids]
    return torch.cat([*(n[:, None].float() for n in numbers), *(p.flatten(1).float() for p in parts)], dim=1)


def unpack_row(row: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Boxes (n, 4), scores (n,) and class ids (n,) of one row of `pack`.

    None when the fixed numbers did not suffice for the image.
    """
    number, complete = row[:2].tolist()
    if not complete:
        return None
    most, count = (len(row) - 2) // 6, int(number)
    boxes, scores, class_ids = row[2:].split([4 * most, most, most])
    return boxes.view(most, 4)[:count], scores[:count], class_ids[:count].to(torch.int64)
