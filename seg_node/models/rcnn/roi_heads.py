# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Heads of Mask R-CNN: class, refined box and mask of each proposed region (He et al. 2017).

Sources of the order of operations: torchvision `models/detection/roi_heads.py` and Detectron2
`modeling/roi_heads/fast_rcnn.py: fast_rcnn_inference_single_image`; `RCNNSettings` selects one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from seg_node.models.layers.backbones import NormLayer, conv_norm
from seg_node.models.rcnn.boxes import decode_boxes, pool_regions
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.preprocess.prepare import ModelInput
from seg_node.types import SegmentOptions


@dataclass(frozen=True)
class Detections:
    """Objects of one image, best first: boxes (N, 4), scores (N,), class_ids int64 (N,)."""

    boxes_xyxy: Tensor
    scores: Tensor
    class_ids: Tensor


class BoxHead(nn.Module):
    """Proposals → classified, refined boxes.

    conv_channels: 3x3 convolutions with `norm` before the fully connected layers (none in the first
    torchvision model). num_classes counts the background.
    box_classes: number of classes with box deltas; 1: shared by all.
    """

    pool_size = 7

    def __init__(
        self,
        in_channels: int,
        conv_channels: Sequence[int],
        fc_channels: Sequence[int],
        num_classes: int,
        box_classes: int,
        norm: NormLayer | None,
        settings: RCNNSettings,
    ) -> None:
        super().__init__()
        widths = [in_channels, *conv_channels]
        layers: list[nn.Module] = [conv_norm(a, b, 3, norm) for a, b in pairwise(widths)]
        layers.append(nn.Flatten())
        widths = [widths[-1] * self.pool_size**2, *fc_channels]
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.cls_score = nn.Linear(widths[-1], num_classes)
        self.bbox_pred = nn.Linear(widths[-1], box_classes * 4)
        self.settings = settings

    def head(
        self, features: Sequence[Tensor], proposals: Sequence[Tensor], fixed: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Compute class logits (R, classes) and deltas (R, box_classes·4) of all proposals; float32.

        fixed: as in `pool_regions`.
        """
        x = self.layers(_pool(features, proposals, self.pool_size, self.settings, fixed))
        return self.cls_score(x).float(), self.bbox_pred(x).float()

    def forward(
        self,
        features: Sequence[Tensor],
        proposals: Sequence[Tensor],
        batch: ModelInput,
        options: SegmentOptions,
    ) -> list[Detections]:
        logits, deltas = self.head(features, proposals)
        counts = [len(boxes) for boxes in proposals]
        per_image = zip(
            proposals, logits.softmax(-1).split(counts), deltas.split(counts), batch.sizes, strict=True
        )
        return [self._select(*image, options) for image in per_image]

    def _select(
        self,
        proposals: Tensor,
        scores: Tensor,
        deltas: Tensor,
        size: tuple[int, int],
        options: SegmentOptions,
    ) -> Detections:
        wanted = scores > options.score_threshold
        wanted &= wanted_classes(options.classes, scores, self.settings)
        proposal, class_ids = torch.where(wanted)  # in the order (proposal, class)
        deltas = deltas.unflatten(1, (-1, 4))
        box_class = class_ids if deltas.shape[1] > 1 else 0
        boxes = decode_boxes(deltas[proposal, box_class], proposals[proposal], self.settings.box_weights)
        boxes, scores = clip_boxes_to_image(boxes, size), scores[proposal, class_ids]
        large = remove_small_boxes(boxes, self.settings.box_min_side)
        boxes, scores, class_ids = boxes[large], scores[large], class_ids[large]
        kept = batched_nms(boxes, scores, class_ids, options.nms_threshold)[: options.max_instances]
        return Detections(boxes[kept], scores[kept], class_ids[kept])


class MaskHead(nn.Module):
    """Detections → mask probabilities of each on a 28x28 grid over its box.

    mask_classes: number of classes with a mask; 1: shared by all.
    """

    pool_size = 14

    def __init__(
        self,
        in_channels: int,
        conv_channels: Sequence[int],
        deconv_channels: int,
        mask_classes: int,
        norm: NormLayer | None,
        settings: RCNNSettings,
    ) -> None:
        super().__init__()
        widths = [in_channels, *conv_channels]
        self.convs = nn.Sequential(*(conv_norm(a, b, 3, norm) for a, b in pairwise(widths)))
        self.conv5_mask = nn.ConvTranspose2d(widths[-1], deconv_channels, 2, 2)
        self.mask_fcn_logits = nn.Conv2d(deconv_channels, mask_classes, 1)
        self.settings = settings

    def head(self, features: Sequence[Tensor], boxes: Sequence[Tensor], fixed: bool = False) -> Tensor:
        """Compute logits (R, mask_classes, 28, 28), float32. fixed: as in `pool_regions`."""
        x = self.convs(_pool(features, boxes, self.pool_size, self.settings, fixed))
        x = F.relu(self.conv5_mask(x), inplace=True)
        return self.mask_fcn_logits(x).float()

    def forward(self, features: Sequence[Tensor], detections: Sequence[Detections]) -> list[Tensor]:
        logits = self.head(features, [d.boxes_xyxy for d in detections])
        probs = probs_of_classes(logits, torch.cat([d.class_ids for d in detections]))
        return list(probs.split([len(d.scores) for d in detections]))


def probs_of_classes(logits: Tensor, class_ids: Tensor) -> Tensor:
    """Select each region's own class: (R, mask_classes, M, M), (R,) → probabilities (R, M, M)."""
    channels = class_ids if logits.shape[1] > 1 else torch.zeros_like(class_ids)
    return logits[torch.arange(len(logits), device=logits.device), channels].sigmoid()


def wanted_classes(classes: frozenset[int] | None, like: Tensor, settings: RCNNSettings) -> Tensor:
    """Mark the given classes, without the background: bool (C,) for `like` of shape (…, C).

    Nothing is uploaded, so a CUDA graph can record it.
    """
    count = like.shape[-1]
    wanted = torch.full((count,), classes is None, device=like.device)
    for class_id in classes or ():
        if 0 <= class_id < count:
            wanted[class_id].fill_(True)
    wanted[0 if settings.background == "first" else -1].fill_(False)
    return wanted


def _pool(
    features: Sequence[Tensor], boxes: Sequence[Tensor], size: int, settings: RCNNSettings, fixed: bool
) -> Tensor:
    return pool_regions(
        features,
        boxes,
        size,
        settings.roi_sampling_ratio,
        settings.roi_aligned,
        settings.roi_level_epsilon,
        fixed,
    )
