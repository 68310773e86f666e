# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A Mask R-CNN checkpoint as the engine uses it: network, labels, input, assembly of results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from seg_node.models.assemble.instances import assemble_segmentation, gather_instances
from seg_node.models.gpu.transfer import download, upload
from seg_node.models.model import Recorder
from seg_node.models.rcnn.fixed_shapes import Selection, selection_of
from seg_node.models.rcnn.network import DenseMaps, FixedOutput, MaskRCNN, RawPrediction, unpack
from seg_node.models.rcnn.paste import paste_masks, paste_sampled_masks
from seg_node.models.rcnn.paste_batched import paste_on_device
from seg_node.models.rcnn.semantic_head import classify_pixels
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.preprocess.prepare import InputSpec, ModelInput, prepare_frames
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, Segmentation, SegmentOptions


@dataclass(frozen=True)
class RCNNModel:
    """See `DenseModel`.

    fixed: the function that runs `MaskRCNN.fixed`, on GPUs, where it is faster; None: the plain path is used.
    """

    network: MaskRCNN
    labels: LabelSet
    input_spec: InputSpec
    default_options: SegmentOptions
    dense: Callable[[Tensor, bool], DenseMaps] | None = None
    fixed: Callable[[Tensor, tuple[tuple[int, int], ...], Selection], FixedOutput] | None = None

    def prepare(self, frames: Sequence[Frame], device: torch.device, exact: bool = True) -> ModelInput:
        return prepare_frames(frames, self.input_spec, device, exact)

    def __call__(self, batch: ModelInput, options: SegmentOptions) -> list[RawPrediction]:
        if self.fixed is not None:
            found = unpack(self.fixed(batch.pixels, batch.sizes, selection_of(options)), batch.sizes)
            if found is not None:
                return found
        maps = (self.dense or self.network)(batch.pixels, options.panoptic)
        return self.network.select(maps, batch, options)

    def with_dense(self, dense: Callable[..., Any]) -> "RCNNModel":
        return replace(self, dense=dense)

    def with_recorded(self, record: Recorder) -> "RCNNModel":
        return replace(self, fixed=record(self.network.fixed))

    def assemble(
        self, raw: RawPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Segmentation:
        instances = assemble_instances(raw, image_size, self.network.settings, options)
        semantic = self._semantic_map(raw, image_size) if options.panoptic else None
        return assemble_segmentation(instances, semantic, image_size, self.labels, options)

    def _semantic_map(self, raw: RawPrediction, image_size: tuple[int, int]) -> NDArray[np.int16] | None:
        """Compute class ids of stuff (H, W), 0 where the branch predicts a thing; None without stuff."""
        if raw.semantic_logits is None:
            return None
        classes = classify_pixels(raw.semantic_logits, raw.input_size, image_size)
        class_ids = upload(torch.tensor([0, *sorted(self.labels.stuff)], dtype=torch.int16), classes.device)
        # equals class_ids[classes], three times as fast on the CPU
        return download(class_ids.index_select(0, classes.view(-1)).view(image_size)).numpy()


def assemble_instances(
    raw: RawPrediction, image_size: tuple[int, int], settings: RCNNSettings, options: SegmentOptions
) -> Instances:
    """Scale boxes to the camera image and paste masks into them; drop objects below min_area."""
    scale = torch.tensor([size / raw_size for size, raw_size in zip(image_size, raw.input_size, strict=True)])
    boxes = raw.boxes_xyxy.cpu() * scale[[1, 0, 1, 0]]
    visible = torch.ones(len(boxes), dtype=torch.bool)
    if settings.boxes_clipped:
        boxes = clip_boxes_to_image(boxes, image_size)
        visible = (boxes[:, 2:] > boxes[:, :2]).all(1)
    masks = _paste(raw.mask_probs, boxes, visible, image_size, settings, options)
    return gather_instances(
        boxes[visible], raw.scores.cpu()[visible], raw.class_ids.cpu()[visible], masks, options.min_area
    )


def _paste(
    mask_probs: Tensor,
    boxes: Tensor,
    visible: Tensor,
    image_size: tuple[int, int],
    settings: RCNNSettings,
    options: SegmentOptions,
) -> list[MaskCrop]:
    """Paste the masks of visible boxes. boxes, visible: on the CPU.

    On a GPU all masks are pasted: a box without pixels costs nothing, and `visible` needs no upload. Only
    the masks' pixels inside their boxes are downloaded.
    """
    threshold, rule = options.mask_threshold, settings.mask_paste
    if mask_probs.is_cuda:
        crops = paste_on_device(mask_probs, boxes, image_size, threshold, rule)
        return list(compress(crops, visible.tolist()))
    paste = paste_sampled_masks if rule == "sample" else paste_masks
    return paste(mask_probs[visible], boxes[visible], image_size, threshold)
