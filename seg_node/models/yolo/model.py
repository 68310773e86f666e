# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""An exported YOLO file as the engine uses it: network, labels, input, assembly of results."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seg_node.models.assemble.download_crops import download_crops
from seg_node.models.assemble.instances import assemble_segmentation, gather_instances
from seg_node.models.yolo.detect import Detections, read_selected, suppress
from seg_node.models.yolo.letterbox import Letterbox, fit_letterbox, prepare_letterboxed
from seg_node.models.yolo.masks import cut_masks, enlargement, whole_masks
from seg_node.models.yolo.network import YoloNetwork
from seg_node.types import Frame, Instances, LabelSet, Segmentation, SegmentOptions


@dataclass(frozen=True)
class YoloInput:
    """One image as the network's input: float32 (1, 3, H, W)."""

    pixels: Tensor
    letterbox: Letterbox


@dataclass(frozen=True)
class YoloPrediction:
    """The objects of one image, and the prototypes of their masks, float (K, h, w), on the device."""

    found: Detections
    prototypes: Tensor
    letterbox: Letterbox


@dataclass(frozen=True)
class YoloModel:
    """See `SegmentationModel`.

    input_size: (height, width) of the network's input; of a dynamic file the largest.
    stride: of its coarsest map, in pixels.
    across_classes: boxes suppress those of other classes too.
    """

    network: YoloNetwork
    labels: LabelSet
    default_options: SegmentOptions
    input_size: tuple[int, int]
    stride: int
    across_classes: bool = False

    def prepare(self, frames: Sequence[Frame], device: torch.device, exact: bool = True) -> list[YoloInput]:
        """Prepare each frame by itself, always exact: files are exported for one image."""
        return [self._prepare(frame, device) for frame in frames]

    def _prepare(self, frame: Frame, device: torch.device) -> YoloInput:
        stride = self.stride if self.network.is_dynamic else None
        letterbox = fit_letterbox(frame.image_size, self.input_size, stride)
        return YoloInput(prepare_letterboxed([frame], letterbox, device), letterbox)

    def __call__(self, batch: Sequence[YoloInput], options: SegmentOptions) -> list[YoloPrediction]:
        return [self._predict(image, options) for image in batch]

    def _predict(self, image: YoloInput, options: SegmentOptions) -> YoloPrediction:
        output, prototypes = self.network(image.pixels)
        num_classes = len(self.labels.things)
        if self.network.selects:
            found = read_selected(output, num_classes, options)
        else:
            found = suppress(output, num_classes, options, self.across_classes)
        return YoloPrediction(found, prototypes, image.letterbox)

    def assemble(
        self, raw: YoloPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Segmentation:
        instances = assemble_instances(raw, image_size, options)
        return assemble_segmentation(instances, None, image_size, self.labels, options)


def assemble_instances(
    raw: YoloPrediction, image_size: tuple[int, int], options: SegmentOptions
) -> Instances:
    """Convert boxes and masks to image resolution; drop objects below min_area."""
    found = raw.found
    boxes = raw.letterbox.to_image(found.boxes_xyxy, image_size)
    scores, class_ids = found.scores, found.class_ids
    grid = (raw.prototypes.shape[1], raw.prototypes.shape[2])
    parts = raw.prototypes, found.coefficients, boxes, enlargement(raw.letterbox, grid, image_size)
    if boxes.is_cuda:
        masks, (boxes, scores, class_ids) = download_crops(
            whole_masks(*parts, options.mask_threshold), boxes, scores, class_ids
        )
    else:
        masks = cut_masks(*parts, options.mask_threshold)
    return gather_instances(boxes, scores, class_ids, masks, options.min_area)
