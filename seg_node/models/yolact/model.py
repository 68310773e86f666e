# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A YOLACT checkpoint as the engine uses it: network, labels, input, assembly of results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seg_node.models.assemble.download_crops import download_crops
from seg_node.models.assemble.instances import assemble_segmentation, gather_instances
from seg_node.models.model import Recorder
from seg_node.models.yolact.detect import YolactPrediction, YolactSettings, detect, without_fillers
from seg_node.models.yolact.masks import (
    crop_windows,
    enlarge_masks,
    enlarge_whole_masks,
    mix_prototypes,
    pixel_boxes,
)
from seg_node.models.yolact.network import Yolact, YolactOutput
from seg_node.models.yolact.rescore import rescore
from seg_node.preprocess.prepare import InputSpec, ModelInput, prepare_frames
from seg_node.types import Frame, Instances, LabelSet, Segmentation, SegmentOptions


@dataclass(frozen=True)
class YolactModel:
    """See `DenseModel`."""

    network: Yolact
    labels: LabelSet
    input_spec: InputSpec
    default_options: SegmentOptions
    settings: YolactSettings
    dense: Callable[[Tensor], YolactOutput] | None = None

    def prepare(self, frames: Sequence[Frame], device: torch.device, exact: bool = True) -> ModelInput:
        return prepare_frames(frames, self.input_spec, device, exact)

    def __call__(self, batch: ModelInput, options: SegmentOptions) -> list[YolactPrediction]:
        output, priors = (self.dense or self.network)(batch.pixels), self.network.priors
        mask_iou = self.network.maskiou_net
        if mask_iou is None or not self.settings.rescore_masks:
            found = detect(output, priors, self.settings, options)
            return [without_fillers(prediction) for prediction in found]
        # rescoring may raise detections that a smaller limit would have dropped
        most = max(options.max_instances, self.default_options.max_instances)
        found = detect(output, priors, self.settings, replace(options, max_instances=most))
        return [without_fillers(rescore(prediction, mask_iou, options)) for prediction in found]

    def with_dense(self, dense: Callable[..., Any]) -> "YolactModel":
        return replace(self, dense=dense)

    def with_recorded(self, record: Recorder) -> "YolactModel":
        return replace(self, dense=record(self.network))

    def assemble(
        self, raw: YolactPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Segmentation:
        instances = assemble_instances(raw, image_size, options)
        return assemble_segmentation(instances, None, image_size, self.labels, options)


def assemble_instances(
    raw: YolactPrediction, image_size: tuple[int, int], options: SegmentOptions
) -> Instances:
    """Convert boxes to whole pixels and masks to image resolution; drop objects below min_area."""
    probs = mix_prototypes(raw.prototypes, raw.coefficients)
    windows = crop_windows(raw.boxes_rel, (probs.shape[1], probs.shape[2]))
    boxes, scores, class_ids = pixel_boxes(raw.boxes_rel, image_size), raw.scores, raw.class_ids
    if probs.is_cuda:
        whole = enlarge_whole_masks(probs, windows, image_size, options.mask_threshold)
        masks, (boxes, scores, class_ids) = download_crops(whole, boxes, scores, class_ids)
    else:
        masks = enlarge_masks(probs, windows, image_size, options.mask_threshold)
    return gather_instances(boxes, scores, class_ids, masks, options.min_area)
