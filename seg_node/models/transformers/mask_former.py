# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects and segments of Mask2Former, MaskFormer and OneFormer, identical to the library's post-processing.

Masks of objects stay at the network's resolution (Mask2Former's: 384 x 384) until they are cropped; masks of
segments are enlarged one at a time, and only if their score suffices.
Sources: transformers `image_processing_mask2former.py`, `image_processing_maskformer.py`,
`image_processing_oneformer.py`.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from seg_node.masks.crop import tight_crop
from seg_node.models.transformers.enlarge import enlarge
from seg_node.models.transformers.found import (
    FoundObject,
    FoundSegments,
    QueryPrediction,
    most_probable,
    rounded,
)
from seg_node.models.transformers.reach import find_windows
from seg_node.models.transformers.shared_pixels import SharedPixels
from seg_node.types import MaskCrop, SegmentOptions


@dataclass(frozen=True)
class MaskFormerPostProcess:
    """See `PostProcess`. Objects may overlap; their masks are cut at 0.5 whatever the options.

    grid: (height, width) to which masks are resized first; None: not resized.
    """

    grid: tuple[int, int] | None

    def __call__(
        self,
        raw: QueryPrediction,
        image_size: tuple[int, int],
        options: SegmentOptions,
        is_wanted: Callable[[int], bool],
    ) -> tuple[list[FoundObject], FoundSegments | None]:
        masks = raw.mask_logits
        if self.grid is not None:
            masks = F.interpolate(masks[None], size=self.grid, mode="bilinear", align_corners=False)[0]
        probs = masks.sigmoid()
        objects = _overlapping_objects(raw, masks, probs, image_size, options.score_threshold, is_wanted)
        if not options.panoptic:
            return objects, None
        return objects, _segments(raw, probs, image_size, options, antialias=False)


@dataclass(frozen=True)
class OneFormerPostProcess:
    """See `PostProcess`. Objects do not overlap; the highest logit owns a pixel, not the highest probability.

    things: the classes of objects.
    antialias: of the resizing; relevant if the image is smaller than the masks.
    """

    things: Collection[int]
    antialias: bool

    def __call__(
        self,
        raw: QueryPrediction,
        image_size: tuple[int, int],
        options: SegmentOptions,
        is_wanted: Callable[[int], bool],
    ) -> tuple[list[FoundObject], FoundSegments | None]:
        objects = [entry for entry in self._objects(raw, image_size, options) if is_wanted(entry.class_id)]
        if not options.panoptic:
            return objects, None
        return objects, _segments(raw, raw.mask_logits.sigmoid(), image_size, options, self.antialias)

    def _objects(
        self, raw: QueryPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Iterable[FoundObject]:
        scores, queries, class_ids = _best_pairs(raw)
        above = (scores > options.score_threshold).tolist()
        pairs = [i for i, class_id in enumerate(class_ids) if above[i] and class_id in self.things]
        masks = [raw.mask_logits[queries[i]] for i in pairs]
        owners, kept = _share(masks, scores[pairs], image_size, options.mask_threshold, self.antialias)
        for number in kept:
            i = pairs[number]
            yield FoundObject(class_ids[i], rounded(scores[i]), tight_crop(owners == number))


def _best_pairs(raw: QueryPrediction) -> tuple[Tensor, list[int], list[int]]:
    """Return probabilities (Q,), queries and classes of the Q most probable pairs, in the library's order."""
    probs = raw.class_logits.softmax(-1)[:, :-1]
    scores, pairs = probs.flatten().topk(len(probs), sorted=False)
    return scores, (pairs // probs.shape[1]).tolist(), (pairs % probs.shape[1]).tolist()


def _overlapping_objects(
    raw: QueryPrediction,
    masks: Tensor,
    probs: Tensor,
    image_size: tuple[int, int],
    threshold: float,
    is_wanted: Callable[[int], bool],
) -> list[FoundObject]:
    """Find objects that may overlap. masks, probs: float (Q, h, w), logits and their sigmoid."""
    inside = masks > 0
    weight = inside.float().flatten(1)
    mask_scores = (probs.flatten(1) * weight).sum(1) / (weight.sum(1) + 1e-6)
    class_scores, queries, class_ids = _best_pairs(raw)
    scores = (class_scores * mask_scores.cpu()[queries]).tolist()
    found = [i for i, class_id in enumerate(class_ids) if scores[i] > threshold and is_wanted(class_id)]
    if not found:
        return []
    used = sorted({queries[i] for i in found})
    pixels = torch.stack([inside[query] for query in used]).cpu().numpy()
    crops = dict(zip(used, enlarged_crops(pixels, image_size), strict=True))
    return [
        FoundObject(class_ids[i], round(scores[i], 6), crops[queries[i]])
        for i in found
        if crops[queries[i]].pixels.size
    ]


def enlarged_crops(masks: NDArray[np.bool_], image_size: tuple[int, int]) -> list[MaskCrop]:
    """Resize bool (N, h, w) to the image like PyTorch's mode "nearest", and crop each mask."""
    rows, columns = (
        _nearest(before, after) for before, after in zip(masks.shape[1:], image_size, strict=True)
    )
    return [_enlarged_crop(mask, rows, columns) for mask in masks]


def _enlarged_crop(mask: NDArray[np.bool_], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> MaskCrop:
    small = tight_crop(mask)
    height, width = small.pixels.shape
    top, bottom = np.searchsorted(rows, (small.y_offset, small.y_offset + height)).tolist()
    left, right = np.searchsorted(columns, (small.x_offset, small.x_offset + width)).tolist()
    wide = small.pixels.take(columns[left:right] - small.x_offset, axis=1)
    return tight_crop(wide.take(rows[top:bottom] - small.y_offset, axis=0), left, top)


def _nearest(before: int, after: int) -> NDArray[np.intp]:
    """Return the source pixel, of `before`, of each of `after` pixels, computed by PyTorch itself."""
    places = torch.arange(before, dtype=torch.float32)[None, None]
    return F.interpolate(places, size=after, mode="nearest")[0, 0].numpy().astype(np.intp)


def _segments(
    raw: QueryPrediction,
    probs: Tensor,
    image_size: tuple[int, int],
    options: SegmentOptions,
    antialias: bool,
) -> FoundSegments:
    """Find the segments. probs: float (Q, h, w), of the masks."""
    chosen, scores, class_ids = most_probable(raw, options.panoptic_score_threshold)
    masks = [probs[query] for query in chosen]
    owners, kept = _share(masks, scores[chosen], image_size, options.mask_threshold, antialias)
    entries = {number: (class_ids[chosen[number]], rounded(scores[chosen[number]])) for number in kept}
    return FoundSegments(owners, entries)


def _share(
    masks: Sequence[Tensor], scores: Tensor, image_size: tuple[int, int], level: float, antialias: bool
) -> tuple[NDArray[np.integer], list[int]]:
    """Assign pixels, see `SharedPixels.download`. masks: float (h, w). level: of a mask times its score."""
    if not masks:
        return np.zeros(image_size, np.uint8), []
    weighted = torch.stack([mask * score for mask, score in zip(masks, scores.tolist(), strict=True)])
    windows = find_windows(weighted, [level] * len(masks), image_size, contested=True)
    shared = SharedPixels(len(masks), image_size, weighted.device, only_sure=False)
    for mask, score, window in zip(masks, scores.tolist(), windows, strict=True):
        values = enlarge(mask, image_size, window, antialias) * score
        shared.add(values, values >= level, window)
    return shared.download()
