"""Answers of the Hugging Face `transformers` library's universal segmentation networks → seg_node's types.

Network and image processor are the library's own, of the version installed; see `PostProcess` for the rest.
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

    processor: makes the network's input; prompt is what OneFormer's wants beside the image.
    image_processor: the library's part of it that knows images; its post-processing is post_process's model.

    Objects are the library's instances; those of stuff classes are left out. Of the options it has no
    nms_threshold; panoptic_overlap_threshold belongs to another rule (of a segment more than 0.8 must be its
    own, the library's default); Mask2Former, MaskFormer and EoMT cut the masks of objects at 0.5 whatever
    mask_threshold.
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
        """The library's own inputs, always exact.

        One for each frame: the post-processing would take the padding of a batch for image.
        """
        inputs = (
            self.processor(images=_to_rgb(frame), return_tensors="pt", **self.prompt) for frame in frames
        )
        return [{name: upload(tensor, device) for name, tensor in tensors.items()} for tensors in inputs]

    @torch.inference_mode()
    def __call__(
        self, batch: Sequence[Mapping[str, Tensor]], options: SegmentOptions
    ) -> list[QueryPrediction]:
        threshold = options.score_threshold
        if options.panoptic:
            threshold = min(threshold, options.panoptic_score_threshold)
        with _autocast(self.network):
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
        """The library's segments; those of one stuff class become one, with the score of the first."""
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


def _autocast(network: nn.Module) -> torch.autocast:
    """For layers in half precision: the library mixes them with tensors of its own."""
    halves = (weight for weight in network.parameters() if weight.dtype != torch.float32)
    half = next(halves, None)
    if half is None:
        return torch.autocast("cpu", enabled=False)
    return torch.autocast(half.device.type, half.dtype)


def _to_rgb(frame: Frame) -> PIL.Image.Image:
    """Of an array of few rows the library would guess that they are channels."""
    if 0 in frame.image_size:
        raise ValueError(
            f"a frame of {frame.image_size[0]} rows and {frame.image_size[1]} columns has no pixels"
        )
    pixels = np.ascontiguousarray(frame.pixels)
    return PIL.Image.fromarray(
        pixels if frame.channels == "rgb" else cv2.cvtColor(pixels, _TO_RGB[frame.channels])
    )


def _best_queries(output: Any, threshold: float) -> QueryPrediction:
    """Only the queries that can matter: the post-processing looks at every mask. One wait on a GPU."""
    detr = "pred_masks" in output
    classes = (output.logits if detr else output.class_queries_logits)[0].float().cpu()
    masks = (output.pred_masks if detr else output.masks_queries_logits)[0]
    probs = classes.softmax(-1)[:, :-1]
    # as many as there are pairs of query and class above it: the library takes the best pairs, one per query
    count = min(max(int((probs > threshold).sum()), 1), len(probs))
    kept = probs.amax(-1).topk(count).indices.sort().values
    # stacked one by one: an index would have to be uploaded
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
    """(H, W) with ids from 1, 0 void, and of each id the class and the score.

    Not left to the library's label_ids_to_fuse: after fusing a segment with an earlier one it counts on from
    that one's id, so that later segments get ids that are taken.
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
    """id of the best-scored object of the class that agrees with the segment by an IoU above 0.5, else 0."""
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
