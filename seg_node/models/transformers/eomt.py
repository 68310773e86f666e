"""Objects and segments of EoMT, as the library's post-processing gives them.

Both come from the same masks at the image's size: each is made once, one at a time, and only those that a
score leaves in.
Source: transformers `image_processing_eomt.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.crop import tight_crop
from seg_node.models.transformers.found import (
    FoundObject,
    FoundSegments,
    QueryPrediction,
    most_probable,
    rounded,
)
from seg_node.models.transformers.shared_pixels import SharedPixels, number_type, on_host
from seg_node.types import SegmentOptions


@dataclass(frozen=True)
class EomtPostProcess:
    """See `PostProcess`. Of objects that overlap the later query has the pixels, at 0.5 whatever the options.

    image_processor: the library's, which knows how the image was resized and padded.
    """

    image_processor: Any

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
        grid = self._on_grid(raw.mask_logits)
        for query in sorted({*candidates, *chosen}):
            logits = self._enlarged(grid[query], image_size)
            probs = logits.sigmoid()
            if query in candidates:
                painted.add(logits > 0, probs, class_scores[query].item())
            if query in chosen:
                shared.add(probs * scores[query].item(), probs >= options.mask_threshold)
        objects = painted.download([int(class_ids[query]) for query in candidates], is_wanted)
        if not options.panoptic:
            return objects, None
        owners, kept = shared.download()
        entries = {i: (segment_classes[chosen[i]], rounded(scores[chosen[i]])) for i in kept}
        return objects, FoundSegments(owners, entries)

    def _on_grid(self, masks: Tensor) -> Tensor:
        """float (Q, h, w) → the size of the network's input."""
        size = self.image_processor.size
        height = size["shortest_edge"]
        return F.interpolate(masks[None], size=(height, size["longest_edge"] or height), mode="bilinear")[0]

    def _enlarged(self, mask: Tensor, image_size: tuple[int, int]) -> Tensor:
        """float (h, w) of the network's input → (H, W), without the padding."""
        (enlarged,) = self.image_processor.unpad_image(
            mask[None, None], [image_size], self.image_processor.size
        )
        unpadded: Tensor = enlarged[0]
        return unpadded


class _PaintedObjects:
    """Objects' masks painted over each other, the last one on top."""

    def __init__(
        self, count: int, image_size: tuple[int, int], device: torch.device, threshold: float
    ) -> None:
        """count: of the objects. threshold: of their scores, the class's times the mask's."""
        self._owner = torch.zeros(image_size, dtype=number_type(count + 1), device=device)
        self._threshold = threshold
        self._scores: list[Tensor] = []

    def add(self, mask: Tensor, probs: Tensor, class_score: float) -> None:
        """The next object. mask: bool (H, W). probs: float (H, W). It counts if it has pixels and the score."""
        area = torch.count_nonzero(mask)
        score = (probs * mask).sum() / (area + 1e-6) * class_score
        counts = (score.double() > self._threshold) & (area > 0)
        self._scores.append(torch.where(counts, score, -1))
        numbers = (mask & counts).to(self._owner.dtype).mul_(len(self._scores))
        torch.maximum(self._owner, numbers, out=self._owner)

    def download(self, class_ids: list[int], is_wanted: Callable[[int], bool]) -> list[FoundObject]:
        """class_ids: of all, in the order of `add`."""
        if not self._scores:
            return []
        score_bytes, owner = on_host(torch.stack(self._scores), self._owner)
        return [
            FoundObject(class_id, round(score, 6), tight_crop(owner == number))
            for number, (score, class_id) in enumerate(zip(score_bytes.tolist(), class_ids, strict=True), 1)
            if score >= 0 and is_wanted(class_id)
        ]
