"""Mask R-CNN's selections with every shape known beforehand: no step waits for a number from the GPU.

That is what CUDA graphs need. Where the plain way (`rpn.py`, `roi_heads.py`) goes on with as many boxes as
there are, this one goes on with the most there may be and notes which of them count. The same come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from seg_node.models.rcnn.boxes import decode_boxes
from seg_node.models.rcnn.roi_heads import wanted_classes
from seg_node.models.rcnn.rpn import RegionProposals
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.types import SegmentOptions

CANDIDATES = 1024  # pairs of proposal and class above the score threshold that suppression looks at
ROUNDS = 24  # of suppression: how long a chain of boxes that depend on each other may be


@dataclass(frozen=True)
class Selection:
    """What a score decides, as far as the network needs it; equal ones can share a graph."""

    score_threshold: float
    nms_threshold: float
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


def suppress(
    boxes: Tensor, counted: Tensor, threshold: float, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Greedy non-maximum suppression of B lists at once: which of the boxes stay, and whether that is final.

    boxes: (B, K, 4), by falling score. counted: bool (B, K), the others neither stay nor suppress.
    groups: integer (B, K), only boxes of one group suppress each other.
    A box stays when no better one that stays overlaps it by more than the threshold. Begun with all boxes,
    that rule settles from the best one on; each round settles one more link of every chain.
    """
    overlaps = (_pairwise_iou(boxes) > threshold).triu(diagonal=1)
    if groups is not None:
        overlaps &= groups[:, :, None] == groups[:, None, :]
    # counts below 1025: exact in half precision, of which a GPU multiplies matrices fastest
    overlaps_as_numbers = overlaps.to(torch.float16 if boxes.is_cuda else torch.float32)
    kept = before = counted
    for _ in range(ROUNDS):
        before = kept
        better = torch.bmm(kept[:, None].to(overlaps_as_numbers.dtype), overlaps_as_numbers)[:, 0]
        kept = counted & (better == 0)
    return kept, (kept == before).all(dim=1)


def _pairwise_iou(boxes: Tensor) -> Tensor:
    """(B, K, 4) → (B, K, K); as torchvision's `nms` computes it."""
    low, high = boxes[..., :2], boxes[..., 2:]
    area = (high - low).prod(dim=-1)
    shared = (
        torch.minimum(high[:, :, None], high[:, None]) - torch.maximum(low[:, :, None], low[:, None])
    ).clamp(min=0)
    shared_area = shared.prod(dim=-1)
    return shared_area / (area[:, :, None] + area[:, None] - shared_area)


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
    lists = []
    for level, pair in enumerate(zip(logits, deltas, strict=True)):
        boxes, scores, _ = rpn.candidates(level, *pair, padded_size)
        missing = most - scores.shape[1]
        lists.append((F.pad(boxes, (0, 0, 0, missing)), F.pad(scores, (0, missing), value=-torch.inf)))
    boxes, scores = (torch.stack(parts, dim=1) for parts in zip(*lists, strict=True))  # (N, levels, K, …)
    boxes = torch.stack([clip_boxes_to_image(b, size) for b, size in zip(boxes, sizes, strict=True)])
    large = ((boxes[..., 2:] - boxes[..., :2]) >= settings.proposal_min_side).all(dim=-1)
    counted = large & scores.isfinite()
    kept, final = suppress(boxes.flatten(0, 1), counted.flatten(0, 1), settings.proposal_nms_threshold)
    scores = scores.flatten(1).masked_fill(~kept.view(count, -1), -torch.inf)
    number = min(settings.proposals, scores.shape[1])
    best, indices = scores.topk(number, dim=1)
    counted = best > -torch.inf
    return _boxes_at(boxes.flatten(1, 2), indices, counted), counted, final.view(count, -1).all(dim=1)


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
    boxes = decode_boxes(chosen, references, settings.box_weights).view(count, -1, 4)
    boxes = torch.stack([clip_boxes_to_image(b, size) for b, size in zip(boxes, sizes, strict=True)])
    large = ((boxes[..., 2:] - boxes[..., :2]) >= settings.box_min_side).all(dim=-1)
    kept, final = suppress(boxes, large & (scores >= 0), selection.nms_threshold, class_ids)
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
