# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Region proposals (Ren et al. 2015): boxes that may hold an object of any class.

Sources of the order of operations: torchvision `models/detection/rpn.py` and Detectron2
`modeling/proposal_generator/proposal_utils.py: find_top_rpn_proposals`; `RCNNSettings` selects one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from seg_node.models.layers.backbones import conv_norm
from seg_node.models.rcnn.boxes import anchors_at, cell_anchors, decode_boxes
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.preprocess.prepare import ModelInput


class RegionProposals(nn.Module):
    """Pyramid → up to `proposals` boxes per image that may hold an object."""

    def __init__(self, channels: int, num_convs: int, settings: RCNNSettings) -> None:
        super().__init__()
        num_anchors = len(settings.anchor_sizes[0]) * len(settings.anchor_ratios)
        self.conv = nn.Sequential(*(conv_norm(channels, channels, 3, None) for _ in range(num_convs)))
        self.cls_logits = nn.Conv2d(channels, num_anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, num_anchors * 4, 1)
        self.settings = settings
        for level, sizes in enumerate(settings.anchor_sizes):
            cells = cell_anchors(sizes, settings.anchor_ratios, settings.anchors_rounded)
            self.register_buffer(f"cells{level}", cells, persistent=False)

    def head(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Compute objectness logits (N, A, h, w) and deltas (N, 4A, h, w) of each level, float32."""
        hidden = [self.conv(feature) for feature in features]
        return [self.cls_logits(x).float() for x in hidden], [self.bbox_pred(x).float() for x in hidden]

    def forward(self, logits: Sequence[Tensor], deltas: Sequence[Tensor], batch: ModelInput) -> list[Tensor]:
        """Select the boxes (K, 4) of each image, best first, from the output of `head`."""
        boxes, scores, counts = self.candidates(logits, deltas, batch.pixels.shape[-2:])
        levels = torch.cat(
            [torch.full_like(part, level) for level, part in enumerate(scores.split(counts, dim=1))], dim=1
        )
        if self.settings.proposal_nms_scores == "probabilities":
            scores = scores.sigmoid()
        images = zip(boxes, scores, levels, batch.sizes, strict=True)
        return [self._suppress(*image) for image in images]

    def candidates(
        self, logits: Sequence[Tensor], deltas: Sequence[Tensor], padded_size: Sequence[int]
    ) -> tuple[Tensor, Tensor, list[int]]:
        """Decode each level's best anchors, level after level.

        Returns boxes (N, K, 4), logits (N, K), and the number of boxes of each level.
        """
        maps = zip(logits, deltas, strict=True)
        best = [self._best(level, *pair, padded_size) for level, pair in enumerate(maps)]
        scores, chosen, anchors = (torch.cat(parts, dim=1) for parts in zip(*best, strict=True))
        weights = self.settings.proposal_box_weights
        boxes = decode_boxes(chosen.flatten(0, 1), anchors.flatten(0, 1), weights)
        return boxes.unflatten(0, scores.shape), scores, [part.shape[1] for part, _, _ in best]

    def _best(
        self, level: int, logits: Tensor, deltas: Tensor, padded_size: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Select the level's best anchors: logits (N, K), deltas and anchors (N, K, 4)."""
        settings = self.settings
        rows, columns = logits.shape[-2:]
        stride = padded_size[0] // rows, padded_size[1] // columns
        if settings.anchor_strides == "exact":
            stride = 4 << level, 4 << level
        logits = logits.permute(0, 2, 3, 1).flatten(1)  # (N, h·w·A)
        deltas = deltas.permute(0, 2, 3, 1).reshape(*logits.shape, 4)
        best, indices = logits.topk(min(settings.proposals_per_level, logits.shape[1]), dim=1)
        cells = self.get_buffer(f"cells{level}")
        anchors = anchors_at(indices.flatten(), cells, columns, stride, settings.anchor_offset)
        chosen = deltas.gather(1, indices[..., None].expand(-1, -1, 4))
        return best, chosen, anchors.view_as(chosen)

    def _suppress(self, boxes: Tensor, scores: Tensor, levels: Tensor, size: tuple[int, int]) -> Tensor:
        boxes = clip_boxes_to_image(boxes, size)
        valid = remove_small_boxes(boxes, self.settings.proposal_min_side)  # removes NaN as well
        valid = valid[scores[valid].isfinite()]
        boxes, scores, levels = boxes[valid], scores[valid], levels[valid]
        kept = batched_nms(boxes, scores, levels, self.settings.proposal_nms_threshold)
        return boxes[kept[: self.settings.proposals]]
