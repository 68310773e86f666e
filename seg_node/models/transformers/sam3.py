# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 3's image segmentation: text prompts → every object that they name.

Network, image processor and tokenizer are those of the installed library. Objects agree with its
`Sam3Processor.post_process_instance_segmentation`, called for each prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from seg_node.masks.crop import tight_crop
from seg_node.models.assemble.download_crops import download_crops
from seg_node.models.assemble.instances import assemble_segmentation, gather_instances
from seg_node.models.gpu.transfer import upload
from seg_node.models.transformers.enlarge import enlarge
from seg_node.models.transformers.inputs import autocast, to_rgb
from seg_node.models.transformers.reach import find_windows
from seg_node.models.transformers.sam3_text import TextEncoder, TextFeatures
from seg_node.prompts import NO_PROMPTS, result_labels
from seg_node.types import Frame, LabelSet, MaskCrop, Segmentation, SegmentOptions

PROMPTS_AT_ONCE = 4  # through the decoder: each takes some 0.3 GB there


@dataclass(frozen=True)
class PromptedObjects:
    """Objects of one image above the score threshold, best first, on the network's device.

    scores: (N,). class_ids: (N,), places in the list of prompts. boxes: (N, 4), x_min, y_min, x_max, y_max as
    fractions of the image. masks: (N, h, w), probabilities.
    """

    scores: Tensor
    class_ids: Tensor
    boxes: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Sam3:
    """See `SegmentationModel`. Its classes are the prompts, so it has no labels of its own.

    The image goes through the vision encoder once, whatever the number of prompts. nms_threshold has no
    effect; an object that several prompts find is one object by duplicate_iou.
    """

    network: Any
    image_processor: Any
    encode_text: TextEncoder
    default_options: SegmentOptions
    labels: LabelSet = LabelSet({})  # noqa: RUF009  # frozen

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Raise ValueError for a prompt that is too long for the text encoder."""
        self.encode_text.check(prompts)

    def prepare(self, frames: Sequence[Frame], device: torch.device, exact: bool = True) -> list[Tensor]:
        """Prepare the library's own input for each frame, (1, 3, S, S), always exact."""
        images = (self.image_processor(images=to_rgb(frame), return_tensors="pt") for frame in frames)
        return [upload(image["pixel_values"], device) for image in images]

    @torch.inference_mode()
    def __call__(self, batch: Sequence[Tensor], options: SegmentOptions) -> list[PromptedObjects]:
        """Raises ValueError without prompts."""
        if not options.prompts:
            raise ValueError(NO_PROMPTS)
        wanted = [i for i in range(len(options.prompts)) if options.classes is None or i in options.classes]
        with autocast(self.network):
            text = self.encode_text(options.prompts, batch[0].device)
            return [self._find(pixels, text, wanted, options) for pixels in batch]

    def assemble(
        self, raw: PromptedObjects, image_size: tuple[int, int], options: SegmentOptions
    ) -> Segmentation:
        height, width = image_size
        corners = raw.boxes.cpu() * torch.tensor([width, height, width, height])
        boxes = torch.minimum(corners.clamp(min=0), torch.tensor([width, height, width, height]))
        masks = _crop(raw.masks, image_size, options.mask_threshold)
        instances = gather_instances(boxes, raw.scores, raw.class_ids, masks, options.min_area)
        labels = result_labels(options, self.labels)
        return replace(assemble_segmentation(instances, None, image_size, labels, options), labels=labels)

    def _find(
        self, pixels: Tensor, text: TextFeatures, wanted: Sequence[int], options: SegmentOptions
    ) -> PromptedObjects:
        """Run one image with the wanted prompts, and keep the best objects of all."""
        vision = self.network.get_vision_features(pixel_values=pixels)
        best = _nothing(pixels.device)
        for numbers, output in self._outputs(vision, text, wanted):
            found = _above(output, numbers, options.score_threshold)
            best = _best_of(best, found, options.max_instances)
        return replace(best, masks=best.masks.sigmoid())

    def _outputs(
        self, vision: Any, text: TextFeatures, wanted: Sequence[int]
    ) -> Iterator[tuple[Sequence[int], Mapping[str, Tensor]]]:
        """Yield the library's output for a few prompts at a time, and their numbers."""
        for first in range(0, len(wanted), PROMPTS_AT_ONCE):
            numbers = wanted[first : first + PROMPTS_AT_ONCE]
            yield (
                numbers,
                self.network(vision_embeds=_repeated(vision, len(numbers)), **text.arguments(numbers)),
            )


def _repeated(vision: Any, count: int) -> Any:
    """Repeat the features of one image for several prompts, without copying them."""
    pyramids = {
        name: tuple(level.expand(count, -1, -1, -1) for level in vision[name])
        for name in ("fpn_hidden_states", "fpn_position_encoding")
    }
    return type(vision)(**pyramids)


def _above(output: Mapping[str, Tensor], numbers: Sequence[int], threshold: float) -> PromptedObjects:
    """Select what is scored above the threshold, in the library's order; the masks are logits."""
    scores = output["pred_logits"].float().sigmoid() * output["presence_logits"].float().sigmoid()
    rows, queries = (scores > threshold).nonzero(as_tuple=True)
    class_ids = torch.tensor(numbers, device=rows.device)[rows]
    boxes, masks = (output[name][rows, queries].float() for name in ("pred_boxes", "pred_masks"))
    return PromptedObjects(scores[rows, queries], class_ids, boxes, masks)


def _best_of(first: PromptedObjects, more: PromptedObjects, count: int) -> PromptedObjects:
    """Return the best of both; after each few prompts, since hundreds of masks of each would not fit."""
    if not len(first.scores):
        first = replace(first, masks=more.masks[:0])
    pairs = ((getattr(first, column.name), getattr(more, column.name)) for column in fields(first))
    columns = [torch.cat(pair) for pair in pairs]
    order = columns[0].argsort(descending=True, stable=True)[:count]
    return PromptedObjects(*(column[order] for column in columns))


def _nothing(device: torch.device) -> PromptedObjects:
    empty = torch.zeros(0, device=device)
    return PromptedObjects(empty, empty.long(), empty.reshape(0, 4), empty.reshape(0, 1, 1))


def _crop(masks: Tensor, image_size: tuple[int, int], threshold: float) -> list[MaskCrop]:
    """Enlarge probabilities (N, h, w) to the image, cut them at the threshold and crop each mask."""
    windows = find_windows(masks, [threshold] * len(masks), image_size, contested=False)
    pixels = [
        enlarge(mask, image_size, window, antialias=False) > threshold
        for mask, window in zip(masks, windows, strict=True)
    ]
    if masks.is_cuda and pixels:
        return download_crops(torch.stack(pixels))[0]
    return [
        tight_crop(inside.numpy(), window.left, window.top)
        for inside, window in zip(pixels, windows, strict=True)
    ]
