"""Answers of the Hugging Face `transformers` library's universal segmentation networks → seg_node's types.

Network, image processor and post-processing are the library's own, of the version installed.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seg_node.crop import tight_crop
from seg_node.models.instances import gather_instances, mask_bounds
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
class QueryPrediction:
    """A network's answer for one image: Q masks with their classes, without those below every threshold.

    class_logits: float (Q, C + 1), the last is "no object". mask_logits: float (Q, h, w), any resolution.
    """

    class_logits: Tensor
    mask_logits: Tensor


@dataclass(frozen=True)
class TransformersModel:
    """See `SegmentationModel`.

    processor: makes the network's input; prompt is what OneFormer's wants beside the image.
    image_processor: has the post-processing.

    Objects are the library's instances; those of stuff classes are left out. Of the options it has no
    nms_threshold; panoptic_overlap_threshold belongs to another rule (of a segment more than 0.8 must be its
    own, the library's default); Mask2Former, MaskFormer and EoMT cut the masks of objects at 0.5 whatever
    mask_threshold.
    """

    network: nn.Module
    processor: Any
    image_processor: Any
    prompt: Mapping[str, Any]
    labels: LabelSet
    default_options: SegmentOptions

    def prepare(
        self, frames: Sequence[Frame], device: torch.device, exact: bool = True
    ) -> list[Mapping[str, Tensor]]:
        """The library's own inputs, always exact.

        One for each frame: the post-processing would take the padding of a batch for image.
        """
        return [
            self.processor(images=_to_rgb(frame), return_tensors="pt", **self.prompt).to(device)
            for frame in frames
        ]

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
        # on a GPU the library's instances fail: their map stays on the CPU
        on_cpu = QueryPrediction(raw.class_logits.cpu(), raw.mask_logits.cpu())
        instances = self._assemble_instances(on_cpu, image_size, options)
        if not options.panoptic:
            return Segmentation(image_size, instances)
        return Segmentation(
            image_size, instances, self._assemble_panoptic(raw, instances, image_size, options)
        )

    def _assemble_instances(
        self, raw: QueryPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Instances:
        # the next number above: some models keep what is equal to the threshold
        threshold = math.nextafter(options.score_threshold, math.inf)
        masks, found = self._post_process("instance", raw, image_size, threshold, options.mask_threshold)
        wanted = [
            i
            for i in sorted(range(len(found)), key=lambda i: -found[i]["score"])
            if found[i]["label_id"] not in self.labels.stuff
            and (options.classes is None or found[i]["label_id"] in options.classes)
        ][: options.max_instances]
        crops = [tight_crop(masks[i] != 0 if masks.ndim == 3 else masks == found[i]["id"]) for i in wanted]
        return gather_instances(
            mask_bounds(crops),
            torch.tensor([found[i]["score"] for i in wanted], dtype=torch.float32),
            torch.tensor([found[i]["label_id"] for i in wanted], dtype=torch.int64),
            crops,
            options.min_area,
        )

    def _assemble_panoptic(
        self, raw: QueryPrediction, instances: Instances, image_size: tuple[int, int], options: SegmentOptions
    ) -> PanopticSegments:
        """The library's segments; those of one stuff class become one, with the score of the first."""
        threshold = options.panoptic_score_threshold
        numbers, found = self._post_process("panoptic", raw, image_size, threshold, options.mask_threshold)
        segment_map, entries = _fuse_stuff(numbers, found, self.labels)
        segments = []
        for segment_id, entry in entries.items():
            class_id = entry["label_id"]
            is_thing = class_id not in self.labels.stuff
            crop = tight_crop(segment_map == segment_id)
            unwanted = options.classes is not None and class_id not in options.classes
            if unwanted or (not is_thing and crop.area < options.panoptic_stuff_min_area):
                segment_map[segment_map == segment_id] = 0
                continue
            instance_id = _same_object(crop, class_id, instances) if is_thing else 0
            segments.append(
                Segment(segment_id, class_id, is_thing, entry["score"], crop.area, crop.roi, instance_id)
            )
        return PanopticSegments(segment_map, tuple(segments))

    def _post_process(
        self,
        task: str,
        raw: QueryPrediction,
        image_size: tuple[int, int],
        threshold: float,
        mask_threshold: float,
    ) -> tuple[NDArray, list[dict[str, Any]]]:
        """The library's segment numbers (H, W), or masks (N, H, W), and what it tells of each segment."""
        post_process = getattr(self.image_processor, f"post_process_{task}_segmentation")
        arguments = {
            "threshold": threshold,
            "mask_threshold": mask_threshold,
            "target_sizes": [image_size],
            "label_ids_to_fuse": set(),
            "return_binary_maps": True,  # where the objects may overlap
            "task_type": "panoptic",  # OneFormer: only things
        }
        known = inspect.signature(post_process).parameters
        classes, masks = raw.class_logits[None], raw.mask_logits[None]
        output = SimpleNamespace(
            class_queries_logits=classes, masks_queries_logits=masks, logits=classes, pred_masks=masks
        )
        answer = post_process(output, **{name: arguments[name] for name in arguments if name in known})[0]
        return answer["segmentation"].cpu().numpy(), answer["segments_info"]


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
    """Only the queries that can matter: the post-processing enlarges every mask to the size of the image."""
    detr = "pred_masks" in output
    classes = (output.logits if detr else output.class_queries_logits)[0].float()
    masks = (output.pred_masks if detr else output.masks_queries_logits)[0].float()
    probs = classes.softmax(-1)[:, :-1]
    # as many as there are pairs of query and class above it: the library takes the best pairs, one per query
    count = min(max(int((probs > threshold).sum()), 1), len(probs))
    kept = probs.amax(-1).topk(count).indices.sort().values
    return QueryPrediction(classes[kept], masks[kept])


def _fuse_stuff(
    numbers: NDArray, found: list[dict[str, Any]], labels: LabelSet
) -> tuple[NDArray[np.uint16], dict[int, dict[str, Any]]]:
    """(H, W) with ids from 1, 0 void, and the library's entry of each.

    Not left to the library's label_ids_to_fuse: after fusing a segment with an earlier one it counts on from
    that one's id, so that later segments get ids that are taken.
    """
    # by the library's number + 1: EoMT counts from 0, void is -1, the others from 1
    id_of = np.zeros(len(found) + 2, np.uint16)
    id_of_stuff: dict[int, int] = {}
    entries: dict[int, dict[str, Any]] = {}
    for entry in found:
        class_id = entry["label_id"]
        segment_id = id_of_stuff.get(class_id, len(entries) + 1)
        if class_id in labels.stuff:
            id_of_stuff[class_id] = segment_id
        id_of[entry["id"] + 1] = segment_id
        entries.setdefault(segment_id, entry)
    return np.take(id_of, numbers.astype(np.intp) + 1), entries


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
