# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""RF-DETR-Seg: the library's network, with its post-processing in seg_node's terms.

Sources: transformers `image_processing_rf_detr.py: post_process_instance_segmentation` (with binary maps) and
`post_process_object_detection`; rfdetr `models/postprocess.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seg_node.masks.crop import tight_crop
from seg_node.models.assemble.download_crops import download_crops
from seg_node.models.assemble.instances import assemble_segmentation, gather_instances
from seg_node.models.transformers.enlarge import Window, enlarge
from seg_node.models.transformers.inputs import ToInput, autocast, prepare_inputs
from seg_node.models.transformers.reach import find_windows
from seg_node.types import Frame, LabelSet, MaskCrop, Segmentation, SegmentOptions

_TOLERANCE = 1e-6  # relative: `enlarge` and F.interpolate differ in the seventh digit
_MASKS_AT_ONCE = 16  # enlarged to whole float images at a time


@dataclass(frozen=True)
class RfDetrPrediction:
    """The N best pairs of query and class of one image, best first; a query may be in several.

    scores, class_ids: (N,). boxes: (N, 4), centre and size relative to the image. These are on the CPU.
    mask_logits: float (N, h, w) on the network's device.
    """

    scores: Tensor
    class_ids: Tensor
    boxes: Tensor
    mask_logits: Tensor


@dataclass(frozen=True)
class RfDetrModel:
    """See `SegmentationModel`.

    to_input: prepares the network's input. top_k: pairs of query and class among which objects are chosen.
    A mask holds the pixels above mask_threshold. nms_threshold has no effect: DETRs need no suppression.
    """

    network: nn.Module
    to_input: ToInput
    top_k: int
    labels: LabelSet
    default_options: SegmentOptions

    def prepare(
        self, frames: Sequence[Frame], device: torch.device, exact: bool = True
    ) -> list[Mapping[str, Tensor]]:
        """Prepare the library's own inputs, always exact."""
        return prepare_inputs(frames, self.to_input, device)

    @torch.inference_mode()
    def __call__(
        self, batch: Sequence[Mapping[str, Tensor]], options: SegmentOptions
    ) -> list[RfDetrPrediction]:
        with autocast(self.network):
            return [_best_pairs(self.network(**inputs), self.top_k, options) for inputs in batch]

    def assemble(
        self, raw: RfDetrPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Segmentation:
        masks = _enlarged_crops(raw.mask_logits, image_size, _logit(options.mask_threshold))
        found = [i for i, mask in enumerate(masks) if mask.pixels.size]  # the library drops empty masks
        instances = gather_instances(
            pixel_boxes(raw.boxes, image_size)[found],
            raw.scores[found],
            raw.class_ids[found],
            [masks[i] for i in found],
            options.min_area,
        )
        return assemble_segmentation(instances, None, image_size, self.labels, options)


def rf_detr_options(top_k: int) -> SegmentOptions:
    """Return the thresholds of the library and of the rfdetr package."""
    return SegmentOptions(score_threshold=0.5, mask_threshold=0.5, max_instances=top_k)


def pixel_boxes(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Convert relative centres and sizes (N, 4) to corners in pixels inside the image, as rfdetr does."""
    height, width = image_size
    centre, half = boxes[:, :2], boxes[:, 2:].clamp(min=0) * 0.5
    size = torch.tensor([width, height, width, height])
    return (torch.cat((centre - half, centre + half), dim=1) * size).clamp(min=0).minimum(size)


def _best_pairs(output: Any, top_k: int, options: SegmentOptions) -> RfDetrPrediction:
    """Choose the objects. The host waits for a GPU once, for the scores and boxes of all queries."""
    logits, boxes, masks = output.logits[0], output.pred_boxes[0], output.pred_masks[0]
    small = torch.cat((boxes.float(), logits.float()), dim=1).cpu()
    probs = small[:, 4:].sigmoid()
    scores, pairs = probs.flatten().topk(min(top_k, probs.numel()))
    queries, class_ids = pairs // probs.shape[1], pairs % probs.shape[1]
    chosen = scores > options.score_threshold
    if options.classes is not None:
        chosen &= torch.isin(class_ids, torch.tensor(sorted(options.classes), dtype=torch.int64))
    kept = chosen.nonzero()[: options.max_instances, 0]
    # stacked one by one: an index tensor would have to be uploaded
    layers = [masks[query] for query in queries[kept].tolist()]
    return RfDetrPrediction(
        scores=scores[kept],
        class_ids=class_ids[kept],
        boxes=small[queries[kept], :4],
        mask_logits=torch.stack(layers).float() if layers else masks[:0].float(),
    )


def _logit(probability: float) -> float:
    if not 0 < probability < 1:
        return math.copysign(math.inf, probability - 0.5)
    return math.log(probability / (1 - probability))


def _enlarged_crops(masks: Tensor, image_size: tuple[int, int], level: float) -> list[MaskCrop]:
    """Resize logits (N, h, w) to the image and crop each mask to its pixels above the level."""
    if not len(masks):
        return []
    if masks.is_cuda:
        parts = (_resized(some, image_size) > level for some in masks.split(_MASKS_AT_ONCE))
        return download_crops(torch.cat(list(parts)))[0]
    windows = find_windows(masks, [level] * len(masks), image_size, contested=False)
    return [
        _enlarged_crop(mask, image_size, window, level) for mask, window in zip(masks, windows, strict=True)
    ]


def _enlarged_crop(mask: Tensor, image_size: tuple[int, int], window: Window, level: float) -> MaskCrop:
    if window.top >= window.bottom:
        return MaskCrop.empty()
    values = enlarge(mask, image_size, window, antialias=False)
    doubt = _TOLERANCE * mask.abs().max()
    if ((values - level).abs() <= doubt).any():
        values = window.of(_resized(mask[None], image_size)[0])
    return tight_crop((values > level).numpy(), window.left, window.top)


def _resized(masks: Tensor, image_size: tuple[int, int]) -> Tensor:
    return F.interpolate(masks[:, None], size=image_size, mode="bilinear", align_corners=False)[:, 0]
