# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The losses of Mask R-CNN and Panoptic FPN, with torchvision's matching, sampling and loss functions."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, maskrcnn_loss
from torchvision.models.detection.rpn import RegionProposalNetwork

from seg_node.inference.precision import has_bfloat16_units
from seg_node.models.rcnn.network import MaskRCNN
from seg_node.models.rcnn.rpn import RegionProposals
from seg_node.training.classes import UNKNOWN
from seg_node.training.examples import Batch, Target
from seg_node.training.partial import ignore_crowded, ignore_unseen, inside_crowds, possible_classes

# fewer than torchvision's, which are for 800 x 1333 pixels: these inputs have a sixth of that area
ANCHORS_SAMPLED = 128
REGIONS_SAMPLED = 128
PROPOSALS_PER_LEVEL, PROPOSALS = 800, 400
SEMANTIC_WEIGHT = 0.5  # Panoptic FPN, §4.1 and Detectron2's configurations
LOSSES = ("classes", "boxes", "masks", "objectness", "proposals", "semantic")


class Losses:
    """The network's losses on a batch, each a mean; training minimises their sum."""

    def __init__(self, network: MaskRCNN) -> None:
        self._network = network
        settings = network.settings
        self._proposals = _Proposals(
            AnchorGenerator(settings.anchor_sizes, (settings.anchor_ratios,) * len(settings.anchor_sizes)),
            _Head(network.rpn),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=ANCHORS_SAMPLED,
            positive_fraction=0.5,
            pre_nms_top_n={"training": PROPOSALS_PER_LEVEL, "testing": PROPOSALS_PER_LEVEL},
            post_nms_top_n={"training": PROPOSALS, "testing": PROPOSALS},
            nms_thresh=settings.proposal_nms_threshold,
        )
        # only its matching and sampling are used: the heads are the network's own
        self._regions = RoIHeads(
            None, None, None, 0.5, 0.5, REGIONS_SAMPLED, 0.25, settings.box_weights, 0.0, 0.5, 100
        )

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses named in `LOSSES`; "semantic" only where the network has that branch."""
        kind = batch.pixels.device.type
        # not the backbone on CPUs: its depthwise convolutions are four times slower in bfloat16
        with torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu"):
            stages = self._network.backbone(batch.pixels)
        with torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu" or has_bfloat16_units()):
            return self._measure(batch, stages)

    def _measure(self, batch: Batch, stages: Sequence[Tensor]) -> dict[str, Tensor]:
        features = self._network.fpn(stages)
        targets = [vars(target) for target in batch.targets]
        maps = OrderedDict((str(level), feature) for level, feature in enumerate(features))
        proposals, found = self._proposals(ImageList(batch.pixels, list(batch.sizes)), maps, targets)
        losses = self._region_losses(features[:-1], proposals, batch.targets)
        losses |= {"objectness": found["loss_objectness"], "proposals": found["loss_rpn_box_reg"]}
        if self._network.semantic_head is not None:
            losses["semantic"] = SEMANTIC_WEIGHT * semantic_loss(
                self._network.semantic_head(features), batch.semantic
            )
        return losses

    def _region_losses(
        self, features: Sequence[Tensor], proposals: Sequence[Tensor], targets: Sequence[Target]
    ) -> dict[str, Tensor]:
        outside = [
            boxes[~inside_crowds(boxes, target.crowds)]
            for boxes, target in zip(proposals, targets, strict=True)
        ]
        boxes, matched, labels, deltas = self._regions.select_training_samples(
            outside, [vars(target) for target in targets]
        )
        exhaustive = torch.cat(
            [target.exhaustive.expand(len(own), -1) for own, target in zip(labels, targets, strict=True)]
        )
        logits, moves = (x.float() for x in self._network.box_head.head(features, boxes))
        if len(logits) == 0:  # pictures with crowds only
            return dict.fromkeys(LOSSES[:3], logits.sum() + moves.sum())
        logits = possible_classes(logits, torch.cat(labels), exhaustive)
        class_loss, box_loss = fastrcnn_loss(logits, moves, labels, deltas)

        objects = [torch.where(own > 0)[0] for own in labels]
        boxes, matched = ([x[i] for x, i in zip(xs, objects, strict=True)] for xs in (boxes, matched))
        mask_logits = self._network.mask_head.head(features, boxes).float()
        truth = [target.masks for target in targets], [target.labels for target in targets]
        mask_loss = maskrcnn_loss(mask_logits, boxes, *truth, matched)
        return {"classes": class_loss, "boxes": box_loss, "masks": mask_loss}


def semantic_loss(logits: Tensor, semantic: Tensor) -> Tensor:
    """Return the mean cross entropy of the known pixels at full size, 0 when there are none.

    logits: (N, classes, H/4, W/4). semantic: int64 (N, H, W).
    Source: Detectron2 `modeling/meta_arch/semantic_seg.py: SemSegFPNHead.losses`.
    """
    known = semantic != UNKNOWN
    pictures = known.flatten(1).any(1)
    if not pictures.any():
        return logits.sum() * 0
    enlarged = F.interpolate(logits[pictures].float(), scale_factor=4, mode="bilinear", align_corners=False)
    return F.cross_entropy(enlarged, semantic[pictures], ignore_index=UNKNOWN)


class _Head(nn.Module):
    """The network's proposal head with torchvision's interface; returns float32 also within autocast."""

    def __init__(self, proposals: RegionProposals) -> None:
        super().__init__()
        self.proposals = proposals

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = self.proposals.head(features)
        return [x.float() for x in logits], [x.float() for x in deltas]


class _Proposals(RegionProposalNetwork):
    """torchvision's proposals, which do not train unlabelled objects as background."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        for i, (own, target) in enumerate(zip(anchors, targets, strict=True)):
            exhaustive = bool(target["exhaustive"].all())
            labels[i] = ignore_unseen(labels[i], own, target["boxes"], exhaustive)
            labels[i] = ignore_crowded(labels[i], own, target["crowds"])
        return labels, matched

    def compute_loss(
        self, objectness: Tensor, deltas: Tensor, labels: list[Tensor], wanted: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        if all((own < 0).all() for own in labels):
            return objectness.sum() * 0, deltas.sum() * 0
        return super().compute_loss(objectness, deltas, labels, wanted)
