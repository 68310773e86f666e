# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Universal segmentation networks of the Hugging Face `transformers` library with seg_node's results.

Network and image processor are those of the installed library; see `PostProcess` for post-processing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seg_node.masks.crop import tight_crop
from seg_node.models.assemble.instances import gather_instances, mask_bounds
from seg_node.models.gpu.transfer import upload
from seg_node.models.transformers.found import FoundObject, FoundSegments, PostProcess, QueryPrediction
from seg_node.types import (
    Frame,
    Instances,
    LabelSet,
    MaskCrop,
    PanopticSegments,
    Segment,
    Segmentation,
    SegmentOptions,
)

_TO_RGB = {
    "bgr": cv2.COLOR_BGR2RGB,
    "bgra": cv2.COLOR_BGRA2RGB,
    "rgba": cv2.COLOR_RGBA2RGB,
    "mono": cv2.COLOR_GRAY2RGB,
}


@dataclass(frozen=True)
class TransformersModel:
    """See `SegmentationModel`.

    processor: prepares the network's input; prompt: the text that OneFormer's needs beside the image.
    image_processor: the part of it that handles images; post_process reproduces its post-processing.

    Objects are the library's instances without those of stuff classes. nms_threshold has no effect, nor has
    panoptic_overlap_threshold (a segment must own more than 0.8 of its mask, the library's default).
    Mask2Former, MaskFormer and EoMT cut masks of objects at 0.5 whatever mask_threshold.
    """

    network: nn.Module
    processor: Any
    image_processor: Any
    post_process: PostProcess
    prompt: Mapping[str, Any]
    labels: LabelSet
    default_options: SegmentOptions

    def prepare(
        self, frames: Sequence[Frame], device: torch.device, exact: bool = True
    ) -> list[Mapping[str, Tensor]]:
        """Prepare the library's own inputs, always exact.

        There is one per frame, since post-processing would treat a batch's padding as image.
        """
        inputs = (
            self.processor(images=to_rgb(frame), return_tensors="pt", **self.prompt) for frame in frames
        )
        return [_upload_tensors(each, device) for each in inputs]

    @torch.inference_mode()
    def __call__(
        self, batch: Sequence[Mapping[str, Tensor]], options: SegmentOptions
    ) -> list[QueryPrediction]:
        threshold = options.score_threshold
        if options.panoptic:
            threshold = min(threshold, options.panoptic_score_threshold)
        with autocast_halves(self.network):
            return [_best_queries(self.network(**inputs), threshold) for inputs in batch]

    def assemble(
        self, raw: QueryPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Segmentation:
        objects, segments = self.post_process(
            raw,
            image_size,
            options,
            lambda class_id: (
                class_id not in self.labels.stuff and (options.classes is None or class_id in options.classes)
            ),
        )
        instances = _gather(objects, options)
        if segments is None:
            return Segmentation(image_size, instances)
        return Segmentation(image_size, instances, self._panoptic(segments, instances, options))

    def _panoptic(
        self, found: FoundSegments, instances: Instances, options: SegmentOptions
    ) -> PanopticSegments:
        """Convert the library's segments; those of one stuff class are merged, with the first one's score."""
        segment_map, entries = _fuse_stuff(found, self.labels)
        segments = []
        for segment_id, (class_id, score) in entries.items():
            is_thing = class_id not in self.labels.stuff
            crop = tight_crop(segment_map == segment_id)
            unwanted = options.classes is not None and class_id not in options.classes
            if unwanted or (not is_thing and crop.area < options.panoptic_stuff_min_area):
                segment_map[segment_map == segment_id] = 0
                continue
            instance_id = _same_object(crop, class_id, instances) if is_thing else 0
            segments.append(Segment(segment_id, class_id, is_thing, score, crop.area, crop.roi, instance_id))
        return PanopticSegments(segment_map, tuple(segments))


def _upload_tensors(inputs: Mapping[str, Any], device: torch.device) -> Mapping[str, Any]:
    """Upload the tensors and keep other values, such as EoMT's empty list of patch_offsets."""
    return {
        name: upload(value, device) if isinstance(value, Tensor) else value for name, value in inputs.items()
    }


def autocast_halves(network: nn.Module) -> torch.autocast:
    """Enable autocast for layers in half precision, which the library mixes with tensors of its own."""
    halves = (weight for weight in network.parameters() if weight.dtype != torch.float32)
    half = next(halves, None)
    if half is None:
        return torch.autocast("cpu", enabled=False)
    return torch.autocast(half.device.type, half.dtype)


def to_rgb(frame: Frame) -> PIL.Image.Image:
    """Convert to an RGB picture: in an array of few rows the library would mistake rows for channels."""
    if 0 in frame.image_size:
        raise ValueError(
            f"a frame of {frame.image_size[0]} rows and {frame.image_size[1]} columns has no pixels"
        )
    pixels = np.ascontiguousarray(frame.pixels)
    return PIL.Image.fromarray(
        pixels if frame.channels == "rgb" else cv2.cvtColor(pixels, _TO_RGB[frame.channels])
    )


def _best_queries(output: Any, threshold: float) -> QueryPrediction:
    """Keep only relevant queries, since post-processing handles every mask. The host waits for a GPU once."""
    detr = "pred_masks" in output
    classes = (output.logits if detr else output.class_queries_logits)[0].float().cpu()
    masks = (output.pred_masks if detr else output.masks_queries_logits)[0]
    probs = classes.softmax(-1)[:, :-1]
    # the number of pairs of query and class above it: the library keeps as many best pairs as queries
    count = min(max(int((probs > threshold).sum()), 1), len(probs))
    kept = probs.amax(-1).topk(count).indices.sort().values
    # stacked one by one: an index tensor would have to be uploaded
    return QueryPrediction(classes[kept], torch.stack([masks[i] for i in kept.tolist()]).float())


def _gather(objects: Sequence[FoundObject], options: SegmentOptions) -> Instances:
    best = sorted(objects, key=lambda entry: -entry.score)[: options.max_instances]
    crops = [entry.mask for entry in best]
    return gather_instances(
        mask_bounds(crops),
        torch.tensor([entry.score for entry in best], dtype=torch.float32),
        torch.tensor([entry.class_id for entry in best], dtype=torch.int64),
        crops,
        options.min_area,
    )


def _fuse_stuff(
    found: FoundSegments, labels: LabelSet
) -> tuple[NDArray[np.uint16], dict[int, tuple[int, float]]]:
    """Merge segments of one stuff class: (H, W) with ids from 1, 0 void; class and score of each id.

    The library's label_ids_to_fuse is not used: after merging a segment into an earlier one it continues
    from that one's id, so later segments get ids that are in use.
    """
    id_of = np.zeros(1 << 8 * found.numbers.itemsize, np.uint16)
    id_of_stuff: dict[int, int] = {}
    entries: dict[int, tuple[int, float]] = {}
    for number, (class_id, score) in found.entries.items():
        segment_id = id_of_stuff.get(class_id, len(entries) + 1)
        if class_id in labels.stuff:
            id_of_stuff[class_id] = segment_id
        id_of[number] = segment_id
        entries.setdefault(segment_id, (class_id, score))
    if found.numbers.dtype == np.uint8:
        return np.asarray(cv2.LUT(found.numbers, id_of)), entries  # ten times as fast as np.take
    return np.take(id_of, found.numbers), entries


def _same_object(segment: MaskCrop, class_id: int, instances: Instances) -> int:
    """Return the id of the best-scored object of the class with IoU above 0.5 to the segment, else 0."""
    for i in np.flatnonzero(instances.class_ids == class_id):
        mask = instances.masks[i]
        shared = _shared_area(segment, mask)
        if 2 * shared > mask.area + segment.area - shared:
            return int(instances.ids[i])
    return 0


def _shared_area(one: MaskCrop, other: MaskCrop) -> int:
    left, top = max(one.x_offset, other.x_offset), max(one.y_offset, other.y_offset)
    a = one.pixels[top - one.y_offset :, left - one.x_offset :]
    b = other.pixels[top - other.y_offset :, left - other.x_offset :]
    height, width = min(len(a), len(b)), min(a.shape[1], b.shape[1])
    return int(np.count_nonzero(a[:height, :width] & b[:height, :width]))
