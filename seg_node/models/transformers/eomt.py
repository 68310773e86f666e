# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects and segments of EoMT and VidEoMT, identical to the library's post-processing.

Both use the same masks at the image's size: each is computed once, one at a time, and only if its score
suffices.
Sources: transformers `image_processing_eomt.py`, `video_processing_videomt.py`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.masks.crop import tight_crop
from seg_node.models.transformers.enlarge import Window, enlarge
from seg_node.models.transformers.found import (
    FoundObject,
    FoundSegments,
    QueryPrediction,
    most_probable,
    rounded,
)
from seg_node.models.transformers.reach import find_windows
from seg_node.models.transformers.shared_pixels import SharedPixels, number_type, on_host
from seg_node.types import SegmentOptions


@dataclass(frozen=True)
class EomtPostProcess:
    """See `PostProcess`. The later query owns shared pixels; masks are cut at 0.5 whatever the options.

    image_processor: EoMT's, which stores how images are resized and padded; None for VidEoMT, whose masks
    cover the image without padding.
    """

    image_processor: Any | None

    def __call__(
        self,
        raw: QueryPrediction,
        image_size: tuple[int, int],
        options: SegmentOptions,
        is_wanted: Callable[[int], bool],
    ) -> tuple[list[FoundObject], FoundSegments | None]:
        device = raw.mask_logits.device
        class_scores, class_ids = raw.class_logits.softmax(-1)[:, :-1].max(-1)
        # no mask has a score above 1
        candidates = (class_scores > options.score_threshold).nonzero()[:, 0].tolist()
        chosen, scores, segment_classes = most_probable(raw, options.panoptic_score_threshold)
        if not options.panoptic:
            chosen = []
        painted = _PaintedObjects(len(candidates), image_size, device, options.score_threshold)
        shared = SharedPixels(len(chosen), image_size, device, only_sure=True)
        grid = self._unpadded(raw.mask_logits, image_size)
        object_windows = _object_windows(grid, candidates, image_size)
        windows = _segment_windows(grid, chosen, scores, options.mask_threshold, image_size)
        for query in sorted({*candidates, *chosen}):
            window = _joined(object_windows.get(query), windows.get(query))
            logits = enlarge(grid[query], image_size, window, antialias=False)
            probs = logits.sigmoid()
            if query in candidates:
                painted.add(logits > 0, probs, class_scores[query].item(), window)
            if query in chosen:
                shared.add(probs * scores[query].item(), probs >= options.mask_threshold, window)
        objects = painted.download([int(class_ids[query]) for query in candidates], is_wanted)
        if not options.panoptic:
            return objects, None
        owners, kept = shared.download()
        entries = {i: (segment_classes[chosen[i]], rounded(scores[chosen[i]])) for i in kept}
        return objects, FoundSegments(owners, entries)

    def _unpadded(self, masks: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Resize (Q, h, w) to the size of the network's input and crop the padding."""
        if self.image_processor is None:
            return masks
        size = self.image_processor.size
        height, width = size["shortest_edge"], size["longest_edge"]
        grid = F.interpolate(masks[None], size=(height, width or height), mode="bilinear")[0]
        library = sys.modules[type(self.image_processor).__module__]
        height, width = library.get_size_with_aspect_ratio(image_size, height, width)
        return grid[:, :height, :width]


def _object_windows(grid: Tensor, queries: list[int], image_size: tuple[int, int]) -> dict[int, Window]:
    """Find where each query's logits may be above 0."""
    if not queries:
        return {}
    logits = torch.stack([grid[query] for query in queries])
    windows = find_windows(logits, [0.0] * len(queries), image_size, contested=False)
    return dict(zip(queries, windows, strict=True))


def _segment_windows(
    grid: Tensor, queries: list[int], scores: Tensor, level: float, image_size: tuple[int, int]
) -> dict[int, Window]:
    """Find where each query may have the highest probability of all, or one above the level."""
    if not queries:
        return {}
    chosen = scores[queries].tolist()
    values = torch.stack([grid[q].sigmoid() * score for q, score in zip(queries, chosen, strict=True)])
    windows = find_windows(values, [score * level for score in chosen], image_size, contested=True)
    return dict(zip(queries, windows, strict=True))


def _joined(one: Window | None, other: Window | None) -> Window:
    if one is None or other is None:
        window = one or other
        assert window is not None
        return window
    return one.joined(other)


class _PaintedObjects:
    """Masks of objects painted over each other, the last one on top."""

    def __init__(
        self, count: int, image_size: tuple[int, int], device: torch.device, threshold: float
    ) -> None:
        """Prepare for `count` objects. threshold: minimum of class score times mask score."""
        self._owner = torch.zeros(image_size, dtype=number_type(count + 1), device=device)
        self._threshold = threshold
        self._scores: list[Tensor] = []

    def add(self, mask: Tensor, probs: Tensor, class_score: float, window: Window) -> None:
        """Add the next object. mask: bool, probs: float, of the window, which holds all pixels of the mask.

        It is painted if it has pixels and a sufficient score.
        """
        area = torch.count_nonzero(mask)
        score = (probs * mask).sum() / (area + 1e-6) * class_score
        accepted = (score.double() > self._threshold) & (area > 0)
        self._scores.append(torch.where(accepted, score, -1))
        numbers = (mask & accepted).to(self._owner.dtype).mul_(len(self._scores))
        owner = window.of(self._owner)
        torch.maximum(owner, numbers, out=owner)

    def download(self, class_ids: list[int], is_wanted: Callable[[int], bool]) -> list[FoundObject]:
        """Download the objects. class_ids: of all, in the order of `add`."""
        if not self._scores:
            return []
        score_bytes, owner = on_host(torch.stack(self._scores), self._owner)
        return [
            FoundObject(class_id, round(score, 6), tight_crop(owner == number))
            for number, (score, class_id) in enumerate(zip(score_bytes.tolist(), class_ids, strict=True), 1)
            if score >= 0 and is_wanted(class_id)
        ]
