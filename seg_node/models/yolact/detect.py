# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT's boxes: priors, decoding, Fast NMS, selection of detections.

Boxes are relative: 0 … 1 across the image. Sources: dbolya/yolact `yolact.py: make_priors`,
`layers/box_utils.py: decode, jaccard`, `layers/functions/detection.py: Detect`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seg_node.models.yolact.network import YolactOutput
from seg_node.types import SegmentOptions

_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
_FIRST_STRIDE = 8  # of the finest map with priors


@dataclass(frozen=True)
class YolactSettings:
    """Settings that come from the configuration, not from the checkpoint.

    input_size: images are stretched to this width and height.
    prior_sizes: (width, height) of the priors in input pixels, per level, fine to coarse.
    candidate_threshold: priors without a class that scores higher are dropped.
    candidates_per_class: number of best-scored priors of each class that enter Fast NMS.
    cross_class_nms: a prior has only its best class, and suppresses priors of other classes too.
    rescore_masks: scores are multiplied by the mask quality that YOLACT++ predicts.
    """

    input_size: int
    prior_sizes: tuple[tuple[tuple[float, float], ...], ...]
    candidate_threshold: float = 0.05
    candidates_per_class: int = 200
    cross_class_nms: bool = False
    rescore_masks: bool = False


@dataclass(frozen=True)
class YolactPrediction:
    """N objects of one image, best first, on the device.

    On a GPU the last ones may be fillers, scored -1, until `without_fillers` removes them.
    boxes_rel: float (N, 4) corners x, y, x, y relative to the image; may reach beyond it.
    scores: float (N,). class_ids: int64 (N,) from 0, without the background.
    coefficients: float (N, K), of the prototypes: float (h, w, K).
    """

    boxes_rel: Tensor
    scores: Tensor
    class_ids: Tensor
    coefficients: Tensor
    prototypes: Tensor


def make_priors(settings: YolactSettings) -> Tensor:
    """Compute centre x, y, width, height of each prior, by level, row, column, shape: float (P, 4)."""
    levels = []
    for level, sizes in enumerate(settings.prior_sizes):
        stride = _FIRST_STRIDE * 2**level
        cells = -(-settings.input_size // stride)
        # float64 until the end, like the reference
        centres = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
        shapes = torch.tensor(sizes, dtype=torch.float64) / settings.input_size
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        points = torch.stack((x, y), dim=-1).view(-1, 1, 2).expand(-1, len(sizes), -1)
        levels.append(torch.cat((points, shapes.expand_as(points)), dim=-1).view(-1, 4))
    return torch.cat(levels).float()


def decode_boxes(loc: Tensor, priors: Tensor) -> Tensor:
    """Decode offsets (N, 4) from priors (N, 4) to corners (N, 4)."""
    centres = priors[:, :2] + loc[:, :2] * _CENTRE_VARIANCE * priors[:, 2:]
    sizes = priors[:, 2:] * torch.exp(loc[:, 2:] * _SIZE_VARIANCE)
    low = centres - sizes / 2
    return torch.cat((low, sizes + low), dim=1)


def detect(
    output: YolactOutput, priors: Tensor, settings: YolactSettings, options: SegmentOptions
) -> list[YolactPrediction]:
    """Select at most options.max_instances detections per image, on a GPU with fillers."""
    select = _select_across_classes if settings.cross_class_nms else _select_per_class
    predictions = []
    for loc, probs, coefficients, prototypes in zip(
        output.loc, output.class_probs, output.coefficients, output.prototypes, strict=True
    ):
        # a prior at or below options.score_threshold is never reported, nor suppresses one above it
        threshold = max(settings.candidate_threshold, options.score_threshold)
        priors_kept = torch.where(probs[:, 1:].amax(dim=1) > threshold)[0]
        boxes = decode_boxes(loc[priors_kept], priors[priors_kept])
        scores = probs[priors_kept, 1:].t().contiguous()  # (classes, n)
        kept, class_ids, scores = select(boxes, scores, settings, options)
        coefficients = coefficients[priors_kept[kept]]
        predictions.append(YolactPrediction(boxes[kept], scores, class_ids, coefficients, prototypes))
    return predictions


def without_fillers(prediction: YolactPrediction) -> YolactPrediction:
    """Remove the fillers. The host waits for a GPU to count the detections."""
    count = int((prediction.scores >= 0).sum())
    return replace(
        prediction,
        boxes_rel=prediction.boxes_rel[:count],
        scores=prediction.scores[:count],
        class_ids=prediction.class_ids[:count],
        coefficients=prediction.coefficients[:count],
    )


def _select_per_class(
    boxes: Tensor, scores: Tensor, settings: YolactSettings, options: SegmentOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Select from boxes (n, 4), scores (classes, n): indices of kept boxes, classes, scores; best first.

    A box may be kept as several classes, even as one that scores below the candidate threshold.
    """
    wanted = _wanted_classes(len(scores), options, scores.device)
    sorted_scores, candidates = scores[wanted].sort(dim=1, descending=True)
    sorted_scores = sorted_scores[:, : settings.candidates_per_class]
    candidates = candidates[:, : settings.candidates_per_class]
    kept = fast_nms(boxes[candidates], options.nms_threshold) & (sorted_scores > options.score_threshold)
    sorted_scores = sorted_scores.flatten()
    if scores.is_cuda:  # `nonzero` would make the host wait
        best, sorted_scores = _fill(sorted_scores, kept.flatten(), options.max_instances)
    else:
        places = kept.flatten().nonzero()[:, 0]
        best = places[sorted_scores[places].argsort(descending=True)[: options.max_instances]]
        sorted_scores = sorted_scores[best]
    classes = wanted[:, None].expand_as(candidates)
    return candidates.flatten()[best], classes.flatten()[best], sorted_scores


def _select_across_classes(
    boxes: Tensor, scores: Tensor, settings: YolactSettings, options: SegmentOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Select like `_select_per_class`, but each box as its best class only, with all classes competing."""
    best_scores, class_ids = scores.max(dim=0)
    candidates = best_scores.argsort(descending=True)[: settings.candidates_per_class]
    wanted = _wanted_classes(len(scores), options, scores.device)
    is_best = fast_nms(boxes[candidates][None], options.nms_threshold)[0]
    # torch.isin sorts if there are many classes, which makes the host wait for a GPU
    is_kept = is_best & (class_ids[candidates, None] == wanted).any(dim=1)
    if scores.is_cuda:
        best, scores = _fill(best_scores[candidates], is_kept, options.max_instances)
        kept = candidates[best]
        return kept, class_ids[kept], scores
    kept = candidates[is_kept][: options.max_instances]
    return kept, class_ids[kept], best_scores[kept]


def _fill(scores: Tensor, kept: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Return indices and values of the best kept scores (n,), then fillers of -1: min(n, most) in all."""
    values, places = torch.where(kept, scores, -1).sort(descending=True, stable=True)
    return places[:most], values[:most]


def _wanted_classes(count: int, options: SegmentOptions, device: torch.device) -> Tensor:
    if options.classes is None:
        return torch.arange(count, device=device)
    wanted = sorted(class_id for class_id in options.classes if 0 <= class_id < count)
    # pinned memory: the host does not wait for the upload
    class_ids = torch.empty(len(wanted), dtype=torch.int64, pin_memory=device.type == "cuda")
    class_ids.numpy()[:] = wanted
    return class_ids.to(device, non_blocking=True)


def fast_nms(boxes: Tensor, iou_threshold: float) -> Tensor:
    """Keep boxes (classes, n, 4), best first, that no better one of the class overlaps by more.

    Suppressed boxes suppress others too, which allows deciding all at once. Returns bool (classes, n).
    Source: YOLACT §5, Fast NMS.
    """
    if boxes.shape[1] == 0:
        return torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    x_min, y_min, x_max, y_max = boxes.unbind(-1)
    areas = (x_max - x_min) * (y_max - y_min)
    inter = _overlap(x_min, x_max) * _overlap(y_min, y_max)
    iou = inter / (areas[:, :, None] + areas[:, None, :] - inter)
    # two boxes without area give NaN, which compares false
    return iou.triu_(diagonal=1).amax(dim=1) <= iou_threshold


def _overlap(low: Tensor, high: Tensor) -> Tensor:
    """Compute the lengths shared by intervals with ends (classes, n): (classes, n, n)."""
    common = torch.minimum(high[:, :, None], high[:, None, :])
    return common.sub_(torch.maximum(low[:, :, None], low[:, None, :])).clamp_(min=0)
