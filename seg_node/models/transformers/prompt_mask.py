# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SAM, SAM 2 and SAM 3's tracker: boxes or points on an image → the masks of what they point at.

Network and processor are those of the installed library; so is the post-processing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seg_node.masks.crop import tight_crop
from seg_node.models.assemble.instances import mask_bounds
from seg_node.models.gpu.transfer import upload
from seg_node.models.transformers.inputs import to_rgb
from seg_node.types import Frame, Instances

MAX_BOXES = MAX_POINTS = 256


@dataclass(frozen=True)
class SpatialPrompts:
    """Where the objects are, in pixels of the image.

    boxes_xyxy: float32 (N, 4), one object each. points_xy: float32 (M, 2), all of one object, which the box
    bounds if there is one. on_object: bool (M,), False for points beside the object.
    """

    boxes_xyxy: NDArray[np.float32]
    points_xy: NDArray[np.float32]
    on_object: NDArray[np.bool_]

    def check(self, image_size: tuple[int, int]) -> None:
        """Raise ValueError for prompts that describe no object of an image of that size."""
        boxes, points = self.boxes_xyxy, self.points_xy
        height, width = image_size
        if not len(boxes) and not self.on_object.any():
            raise ValueError("neither a box nor a point on an object is given: give one")
        if len(points) != len(self.on_object):
            raise ValueError(f"{len(self.on_object)} labels for {len(points)} points: give one for each")
        if len(points) and len(boxes) > 1:
            raise ValueError(f"points beside {len(boxes)} boxes: of which object? Give one box, or no points")
        if len(boxes) > MAX_BOXES or len(points) > MAX_POINTS:
            raise ValueError(
                f"{len(boxes)} boxes and {len(points)} points, of at most {MAX_BOXES} and {MAX_POINTS}"
            )
        corners = np.concatenate([boxes.reshape(-1, 2), points])
        inside = ((corners >= 0) & (corners <= (width, height))).all(axis=1)  # false with NaN
        if not inside.all():
            x, y = corners[~inside][0].tolist()
            raise ValueError(f"({x:g}, {y:g}) lies outside the image of {width}x{height}")
        flat = ~((boxes[:, :2] < boxes[:, 2:]).all(axis=1))
        if flat.any():
            raise ValueError(f"box {boxes[flat][0].tolist()}: must be x_min, y_min, x_max, y_max")


@dataclass(frozen=True)
class PromptMaskModel:
    """network, processor: the library's; the network is in evaluation mode."""

    network: Any
    processor: Any

    @torch.inference_mode()
    def __call__(self, frame: Frame, prompts: SpatialPrompts) -> Instances:
        """Segment one object for each box, in their order, or one for the points.

        Scores are the IoU that the network expects of its masks. Raises ValueError, see
        `SpatialPrompts.check`.
        """
        prompts.check(frame.image_size)
        inputs = self.processor(images=to_rgb(frame), return_tensors="pt", **_library_prompts(prompts))
        device = next(self.network.parameters()).device
        output = self.network(**_network_inputs(inputs, device), multimask_output=_is_ambiguous(prompts))
        sizes = [inputs[name] for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
        (masks,) = self.processor.post_process_masks([output.pred_masks[0].float().cpu()], *sizes)
        scores, best = output.iou_scores[0].float().cpu().max(dim=-1)
        crops = [tight_crop(each[i].numpy()) for each, i in zip(masks, best.tolist(), strict=True)]
        return Instances(
            boxes_xyxy=mask_bounds(crops).numpy(),
            scores=scores.clamp(0, 1).numpy(),  # a regression, which may leave the range
            class_ids=np.zeros(len(crops), np.int32),
            masks=tuple(crops),
            ids=np.arange(1, len(crops) + 1, dtype=np.uint32),
        )


def _is_ambiguous(prompts: SpatialPrompts) -> bool:
    """Whether to choose the best of several masks, as SAM's authors advise for a single point."""
    return len(prompts.points_xy) == 1 and not len(prompts.boxes_xyxy)


def _library_prompts(prompts: SpatialPrompts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if len(prompts.boxes_xyxy):
        found["input_boxes"] = [prompts.boxes_xyxy.tolist()]
    if len(prompts.points_xy):
        found["input_points"] = [[prompts.points_xy.tolist()]]
        found["input_labels"] = [[prompts.on_object.astype(int).tolist()]]
    return found


def _network_inputs(inputs: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    names = ("pixel_values", "input_boxes", "input_points", "input_labels")
    tensors = {name: inputs[name] for name in names if name in inputs}
    return {
        name: upload(tensor.float() if tensor.is_floating_point() else tensor, device)
        for name, tensor in tensors.items()
    }
