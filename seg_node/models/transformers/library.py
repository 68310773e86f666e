# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects and segments by the library's own post-processing, used for DETR and as reference in tests."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from numpy.typing import NDArray

from seg_node.masks.crop import tight_crop
from seg_node.models.transformers.found import FoundObject, FoundSegments, QueryPrediction
from seg_node.types import SegmentOptions


@dataclass(frozen=True)
class LibraryPostProcess:
    """See `PostProcess`. image_processor: the library's."""

    image_processor: Any

    def __call__(
        self,
        raw: QueryPrediction,
        image_size: tuple[int, int],
        options: SegmentOptions,
        is_wanted: Callable[[int], bool],
    ) -> tuple[list[FoundObject], FoundSegments | None]:
        # the library's instances fail on a GPU: their map stays on the CPU
        on_cpu = QueryPrediction(raw.class_logits, raw.mask_logits.cpu())
        # the next larger number: some models keep scores equal to the threshold
        threshold = math.nextafter(options.score_threshold, math.inf)
        masks, found = self._run("instance", on_cpu, image_size, threshold, options.mask_threshold)
        objects = [
            FoundObject(
                entry["label_id"],
                entry["score"],
                tight_crop(masks[i] != 0 if masks.ndim == 3 else masks == entry["id"]),
            )
            for i, entry in enumerate(found)
            if is_wanted(entry["label_id"])
        ]
        if not options.panoptic:
            return objects, None
        threshold = options.panoptic_score_threshold
        numbers, found = self._run("panoptic", on_cpu, image_size, threshold, options.mask_threshold)
        # EoMT counts from 0, void is -1, the others from 1
        entries = {entry["id"] + 1: (entry["label_id"], entry["score"]) for entry in found}
        return objects, FoundSegments((numbers + 1).astype("uint16"), entries)

    def _run(
        self,
        task: str,
        raw: QueryPrediction,
        image_size: tuple[int, int],
        threshold: float,
        mask_threshold: float,
    ) -> tuple[NDArray, list[dict[str, Any]]]:
        """Return the library's segment numbers (H, W) or masks (N, H, W), and segments_info."""
        post_process = getattr(self.image_processor, f"post_process_{task}_segmentation")
        arguments = {
            "threshold": threshold,
            "mask_threshold": mask_threshold,
            "target_sizes": [image_size],
            "label_ids_to_fuse": set(),
            "return_binary_maps": True,  # objects may overlap
            "task_type": "panoptic",  # OneFormer: only things
        }
        known = inspect.signature(post_process).parameters
        classes, masks = raw.class_logits[None], raw.mask_logits[None]
        output = SimpleNamespace(
            class_queries_logits=classes, masks_queries_logits=masks, logits=classes, pred_masks=masks
        )
        answer = post_process(output, **{name: arguments[name] for name in arguments if name in known})[0]
        return answer["segmentation"].cpu().numpy(), answer["segments_info"]
