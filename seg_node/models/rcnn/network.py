# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN (He et al. 2017) on a feature pyramid: backbone → pyramid → proposals → box head → mask head."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from seg_node.models.gpu.transfer import download
from seg_node.models.layers.backbones import FeaturePyramid, ResNet, ResNetSpec
from seg_node.models.rcnn.fixed_shapes import Selection, detect, pack, propose, unpack_row
from seg_node.models.rcnn.roi_heads import BoxHead, MaskHead, probs_of_classes
from seg_node.models.rcnn.rpn import RegionProposals
from seg_node.models.rcnn.semantic_head import SemanticHead
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.models.rcnn.spec import RCNNSpec
from seg_node.preprocess.prepare import ModelInput
from seg_node.types import SegmentOptions


class DenseMaps(NamedTuple):
    """All maps of N images that depend only on the input.

    pyramid: (N, C, h, w) per level without the coarsest, which only proposals use. logits: objectness
    (N, A, h, w), deltas: (N, 4A, h, w), each of all levels. semantic: one (N, classes, h, w), or empty.
    """

    pyramid: tuple[Tensor, ...]
    logits: tuple[Tensor, ...]
    deltas: tuple[Tensor, ...]
    semantic: tuple[Tensor, ...]


class FixedOutput(NamedTuple):
    """All that `MaskRCNN.fixed` finds in N images, padded to M objects each.

    rows: of `pack`. mask_probs: (N, M, G, G). semantic: as in `DenseMaps`.
    """

    rows: Tensor
    mask_probs: Tensor
    semantic: tuple[Tensor, ...]


@dataclass(frozen=True)
class RawPrediction:
    """The network's output for one image, on its device: N objects, best first.

    boxes_xyxy: float (N, 4), network-input pixels. scores: float (N,). class_ids: int64 (N,).
    mask_probs: float (N, M, M), the object's probability on an MxM grid over its box.
    input_size: (height, width) of the image as the network saw it, without padding.
    semantic_logits: float (classes, h, w), at a quarter of the padded input's resolution; None without stuff.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    class_ids: Tensor
    mask_probs: Tensor
    input_size: tuple[int, int]
    semantic_logits: Tensor | None = None


def unpack(packed: FixedOutput, sizes: Sequence[tuple[int, int]]) -> list[RawPrediction] | None:
    """Unpack the result of `MaskRCNN.fixed`, boxes and scores on the CPU; None if it is not complete."""
    stuff = _stuff_of_images(packed.semantic, len(sizes))
    predictions = []
    for row, probs, size, logits in zip(download(packed.rows), packed.mask_probs, sizes, stuff, strict=True):
        found = unpack_row(row)
        if found is None:
            return None
        boxes, scores, class_ids = found
        predictions.append(RawPrediction(boxes, scores, class_ids, probs[: len(scores)], size, logits))
    return predictions


def _stuff_of_images(semantic: tuple[Tensor, ...], count: int) -> Sequence[Tensor | None]:
    return semantic[0].unbind() if semantic else [None] * count


class MaskRCNN(nn.Module):
    """Images → `DenseMaps`, the dense part; `select` finds boxes with classes and mask probabilities in them.

    `fixed` does both in fixed shapes, for GPUs.
    With a semantic_head it is a Panoptic FPN (Kirillov et al. 2019).
    """

    def __init__(
        self,
        backbone: nn.Module,
        fpn: nn.Module,
        rpn: RegionProposals,
        box_head: BoxHead,
        mask_head: MaskHead,
        settings: RCNNSettings,
        semantic_head: SemanticHead | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.fpn = fpn
        self.rpn = rpn
        self.box_head = box_head
        self.mask_head = mask_head
        self.settings = settings
        self.semantic_head = semantic_head

    def forward(self, pixels: Tensor, panoptic: bool = True) -> DenseMaps:
        """Compute the maps of pixels (N, 3, H, W); semantic logits only where `panoptic` is set."""
        features = self.fpn(self.backbone(pixels))
        logits, deltas = self.rpn.head(features)
        semantic: tuple[Tensor, ...] = ()
        if self.semantic_head is not None and panoptic:
            semantic = (self.semantic_head(features).float().contiguous(),)  # resizing needs this layout
        return DenseMaps(tuple(features[:-1]), tuple(logits), tuple(deltas), semantic)

    def select(self, maps: DenseMaps, batch: ModelInput, options: SegmentOptions) -> list[RawPrediction]:
        """Select the objects of each image and compute their masks."""
        proposals = self.rpn(maps.logits, maps.deltas, batch)
        detections = self.box_head(maps.pyramid, proposals, batch, options)
        masks = self.mask_head(maps.pyramid, detections)
        stuff = _stuff_of_images(maps.semantic, len(masks))
        return [
            RawPrediction(found.boxes_xyxy, found.scores, found.class_ids, probs, size, logits)
            for found, probs, size, logits in zip(detections, masks, batch.sizes, stuff, strict=True)
        ]

    def fixed(self, pixels: Tensor, sizes: tuple[tuple[int, int], ...], selection: Selection) -> FixedOutput:
        """Compute the same with fixed shapes, see fixed_shapes.py; `unpack` reads the result."""
        regions, logits, deltas, semantic = self.forward(pixels, selection.panoptic)
        proposals, valid, converged = propose(self.rpn, logits, deltas, sizes, pixels.shape[-2:])
        classes, refinements = self.box_head.head(regions, list(proposals), fixed=True)
        kept = detect(self.settings, proposals, valid, classes, refinements, sizes, selection)
        masks = self.mask_head.head(regions, list(kept.boxes_xyxy), fixed=True)
        probs = probs_of_classes(masks, kept.class_ids.flatten()).unflatten(0, kept.scores.shape)
        return FixedOutput(pack(kept, converged), probs, semantic)


def build_mask_rcnn(
    backbone: nn.Module, spec: RCNNSpec, settings: RCNNSettings, semantic_head: SemanticHead | None = None
) -> MaskRCNN:
    """Build the network, with random weights, on a backbone whose maps have stride 4, 8, 16, 32.

    Raises ValueError if the anchors are for another number of levels than the pyramid has.
    """
    levels = len(spec.stage_channels) + 1
    if len(settings.anchor_sizes) != levels:
        raise ValueError(f"anchor_sizes has {len(settings.anchor_sizes)} rows, the pyramid {levels} levels")
    width, classes = spec.fpn_channels, spec.num_classes
    return MaskRCNN(
        backbone,
        FeaturePyramid(spec.stage_channels, width, spec.fpn_norm),
        RegionProposals(width, spec.rpn_convs, settings),
        BoxHead(width, spec.box_convs, spec.box_fcs, classes, spec.box_classes, spec.box_norm, settings),
        MaskHead(width, spec.mask_convs, spec.mask_deconv, spec.mask_classes, spec.mask_norm, settings),
        settings,
        semantic_head,
    ).eval()


_RESNET50 = ResNetSpec(64, (3, 4, 6, 3), (64, 128, 256, 512), (256, 512, 1024, 2048))


def mask_rcnn_r50_fpn(num_classes: int = 91) -> MaskRCNN:
    """Build torchvision's `maskrcnn_resnet50_fpn` with random weights."""
    backbone = ResNet(_RESNET50, partial(FrozenBatchNorm2d, eps=0.0))
    return build_mask_rcnn(backbone, _torchvision_spec(num_classes), RCNNSettings())


def mask_rcnn_r50_fpn_v2(num_classes: int = 91) -> MaskRCNN:
    """Build torchvision's `maskrcnn_resnet50_fpn_v2` with random weights."""
    norm = nn.BatchNorm2d
    spec = replace(
        _torchvision_spec(num_classes),
        rpn_convs=2,
        box_convs=(256,) * 4,
        box_fcs=(1024,),
        fpn_norm=norm,
        box_norm=norm,
        mask_norm=norm,
    )
    return build_mask_rcnn(ResNet(_RESNET50, norm), spec, RCNNSettings())


def _torchvision_spec(num_classes: int) -> RCNNSpec:
    return RCNNSpec(
        stage_channels=_RESNET50.out_channels,
        fpn_channels=256,
        rpn_convs=1,
        box_convs=(),
        box_fcs=(1024, 1024),
        mask_convs=(256,) * 4,
        mask_deconv=256,
        num_classes=num_classes,
        box_classes=num_classes,
        mask_classes=num_classes,
    )
