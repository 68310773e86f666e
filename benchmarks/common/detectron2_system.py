# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Detectron2's own Panoptic FPN with the same weights. Imported only where Detectron2 is installed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from common.cells import STAGES, Cell, Timing, encode_all, now_ms, torchvision_crops
from detectron2 import model_zoo
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.modeling import build_model

from seg_node.inference.engine import choose_device
from seg_node.types import Frame, Instances

CONFIG = "COCO-PanopticSegmentation/panoptic_fpn_R_50_3x.yaml"


class Detectron2System:
    """As its `DefaultPredictor` does it, for a batch: eager, float32."""

    precision = "fp32"

    def __init__(self, cell: Cell) -> None:
        self._device = choose_device(cell.device)
        config = model_zoo.get_config(CONFIG)
        config.MODEL.DEVICE = str(self._device)
        self._network: Any = build_model(config).eval()
        tensors = torch.load(cell.weights, map_location="cpu", weights_only=True)
        # its frozen norms do not count batches, ours do
        missing = self._network.load_state_dict(tensors, strict=False).missing_keys
        if missing:
            raise ValueError(
                f"{cell.weights}: {', '.join(missing[:3])} is missing; give a checkpoint of {CONFIG}"
            )
        self._resize = ResizeShortestEdge([config.INPUT.MIN_SIZE_TEST] * 2, config.INPUT.MAX_SIZE_TEST)

    @torch.inference_mode()
    def segment(
        self, frames: Sequence[Frame], score_threshold: float | None
    ) -> tuple[Timing, list[Instances]]:
        if score_threshold is not None:
            self._network.roi_heads.box_predictor.test_score_thresh = score_threshold
        times = [now_ms()]
        inputs = [self._prepare(frame) for frame in frames]
        times.append(self._synchronised_ms())
        answers = self._network(inputs)
        times.append(self._synchronised_ms())
        found = [_instances(answer["instances"]) for answer in answers]
        times.append(now_ms())
        encode_all([instances.masks for instances in found], frames)
        times.append(now_ms())
        stages = dict(zip(STAGES, np.diff(times).tolist(), strict=True))
        return Timing(times[-1] - times[0], stages), found

    def _prepare(self, frame: Frame) -> dict[str, Any]:
        resized = self._resize.get_transform(frame.pixels).apply_image(frame.pixels)
        image = torch.as_tensor(resized.astype(np.float32).transpose(2, 0, 1)).to(self._device)
        height, width = frame.image_size
        return {"image": image, "height": height, "width": width}

    def _synchronised_ms(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return now_ms()


def _instances(found: Any) -> Instances:
    boxes = found.pred_boxes.tensor.cpu().numpy()
    crops = torchvision_crops(found.pred_masks[:, None], boxes)
    class_ids = found.pred_classes.cpu().numpy().astype(np.int32)
    ids = np.arange(1, len(crops) + 1, dtype=np.uint32)
    return Instances(boxes, found.scores.cpu().numpy(), class_ids, crops, ids)
