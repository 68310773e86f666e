# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SOLO, Decoupled SOLO and SOLOv2: backbone → pyramid → grids of classes and masks, without boxes.

Sources: Wang et al. 2020 (SOLO; SOLOv2), see `heads.py`, `solov2_head.py`, `masks.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seg_node.models.assemble.download_crops import download_crops
from seg_node.models.assemble.instances import assemble_segmentation, gather_instances, mask_bounds
from seg_node.models.layers.backbones import FeaturePyramid, ResNet
from seg_node.models.model import Recorder
from seg_node.models.solo.heads import DecoupledSOLOHead, GridOutput, SOLOHead
from seg_node.models.solo.masks import (
    SoloPrediction,
    find_candidates,
    place_masks,
    place_whole_masks,
    select_instances,
)
from seg_node.models.solo.settings import SoloSettings
from seg_node.models.solo.solov2_head import SOLOv2Head
from seg_node.preprocess.prepare import InputSpec, ModelInput, prepare_frames
from seg_node.types import Frame, LabelSet, Segmentation, SegmentOptions


class SOLO(nn.Module):
    """Images (N, 3, H, W) → `GridOutput`, the dense part of the model; `select` finds the objects in it."""

    def __init__(
        self,
        backbone: ResNet,
        fpn: FeaturePyramid,
        head: SOLOHead | DecoupledSOLOHead | SOLOv2Head,
        settings: SoloSettings,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.fpn = fpn
        self.head = head
        self.settings = settings

    def forward(self, pixels: Tensor) -> GridOutput:
        output: GridOutput = self.head(self.fpn(self.backbone(pixels)))
        return output

    def select(
        self, output: GridOutput, sizes: Sequence[tuple[int, int]], options: SegmentOptions
    ) -> list[SoloPrediction]:
        """Select the objects of each image. sizes: (height, width) without padding."""
        return [self._select(output, image, size, options) for image, size in enumerate(sizes)]

    def _select(
        self, output: GridOutput, image: int, size: tuple[int, int], options: SegmentOptions
    ) -> SoloPrediction:
        probs = [level[image] for level in output.category_probs]
        # scores only fall later, so candidates at or below the option's threshold can be dropped now
        threshold = max(self.settings.score_threshold, options.score_threshold)
        candidates = find_candidates(probs, self.settings.strides, threshold, options.classes)
        masks_of = partial(self.head.masks, output, image)
        return SoloPrediction(*select_instances(candidates, masks_of, self.settings, options), size)


@dataclass(frozen=True)
class SoloModel:
    """See `DenseModel`."""

    network: SOLO
    labels: LabelSet
    input_spec: InputSpec
    default_options: SegmentOptions
    dense: Callable[[Tensor], GridOutput] | None = None

    def prepare(self, frames: Sequence[Frame], device: torch.device, exact: bool = True) -> ModelInput:
        return prepare_frames(frames, self.input_spec, device, exact)

    def __call__(self, batch: ModelInput, options: SegmentOptions) -> list[SoloPrediction]:
        output = (self.dense or self.network)(batch.pixels)
        return self.network.select(output, batch.sizes, options)

    def with_dense(self, dense: Callable[..., Any]) -> "SoloModel":
        return replace(self, dense=dense)

    def with_recorded(self, record: Recorder) -> "SoloModel":
        return replace(self, dense=record(self.network))

    def assemble(
        self, raw: SoloPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Segmentation:
        stride = self.network.settings.mask_stride
        scores, class_ids = raw.scores, raw.class_ids
        if raw.mask_probs.is_cuda:
            whole = place_whole_masks(raw, image_size, stride, options.mask_threshold)
            masks, (scores, class_ids) = download_crops(whole, scores, class_ids)
        else:
            masks = place_masks(raw, image_size, stride, options.mask_threshold)
        instances = gather_instances(mask_bounds(masks), scores, class_ids, masks, options.min_area)
        return assemble_segmentation(instances, None, image_size, self.labels, options)
