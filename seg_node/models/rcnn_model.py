"""A Mask R-CNN checkpoint as the engine uses it: network, labels, input and how its answer is assembled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seg_node.models.rcnn import MaskRCNN, RawPrediction
from seg_node.panoptic import fuse_panoptic
from seg_node.paste import paste_masks
from seg_node.prepare import InputSpec, ModelInput, prepare_frames
from seg_node.types import Frame, Instances, LabelSet, Segmentation, SegmentOptions


@dataclass(frozen=True)
class RCNNModel:
    """See `SegmentationModel`."""

    network: MaskRCNN
    labels: LabelSet
    input_spec: InputSpec
    default_options: SegmentOptions

    def to(self, device: torch.device) -> None:
        self.network.to(device)

    def prepare(self, frames: Sequence[Frame], device: torch.device) -> ModelInput:
        return prepare_frames(frames, self.input_spec, device)

    def __call__(self, batch: ModelInput, options: SegmentOptions) -> list[RawPrediction]:
        return self.network(batch, options)

    def assemble(
        self, raw: RawPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Segmentation:
        instances = assemble_instances(raw, image_size, options)
        if not options.panoptic:
            return Segmentation(image_size, instances)
        panoptic = fuse_panoptic(instances, None, image_size, self.labels, options)
        return Segmentation(image_size, instances, panoptic)


def assemble_instances(raw: RawPrediction, image_size: tuple[int, int], options: SegmentOptions) -> Instances:
    """Boxes in pixels of the camera image, masks pasted inside them; those below min_area left out."""
    scale = torch.tensor([size / raw_size for size, raw_size in zip(image_size, raw.input_size, strict=True)])
    boxes = raw.boxes_xyxy.cpu() * scale[[1, 0, 1, 0]]
    masks = paste_masks(raw.mask_probs.cpu(), boxes, image_size, options.mask_threshold)
    kept = [i for i, mask in enumerate(masks) if options.min_area == 0 or mask.area >= options.min_area]
    return Instances(
        boxes_xyxy=boxes.numpy()[kept],
        scores=raw.scores.cpu().numpy()[kept],
        class_ids=raw.class_ids.cpu().numpy()[kept].astype(np.int32),
        masks=tuple(masks[i] for i in kept),
        ids=np.arange(1, len(kept) + 1, dtype=np.uint32),
    )
