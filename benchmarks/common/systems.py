# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The systems that are compared: bgr images in host memory → encoded masks in host memory, timed by step."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from common.cells import STAGES, Cell, Timing, encode_all, now_ms, torchvision_crops
from common.random_checkpoints import thin_mask_rcnn
from torch import Tensor
from torchvision.models.detection import maskrcnn_resnet50_fpn

from seg_node.evaluation.ground_truth import read_instance_truth
from seg_node.evaluation.scorers import InstanceScorer
from seg_node.inference.engine import Engine, choose_device
from seg_node.models.load import load_model
from seg_node.types import Frame, Instances

SYSTEMS = ("seg_node", "torchvision", "detectron2")
# the families that others can run with the same weights
FAMILIES_OF = {"torchvision": ("mask_rcnn", "thin"), "detectron2": ("panoptic_fpn",)}


class System(Protocol):
    """precision: what is computed in."""

    precision: str

    def segment(
        self, frames: Sequence[Frame], score_threshold: float | None
    ) -> tuple[Timing, list[Instances]]:
        """score_threshold: None for the checkpoint's own."""
        ...


class SegNodeSystem:
    """The product's engine."""

    def __init__(self, cell: Cell) -> None:
        device = choose_device(cell.device)
        self.model = load_model(weights=cell.weights, config=cell.config)
        self._engine = Engine(self.model, device, cell.precision)
        self.precision: str = self._engine.precision

    def segment(
        self, frames: Sequence[Frame], score_threshold: float | None
    ) -> tuple[Timing, list[Instances]]:
        # as the node does: no panoptic map where there is no stuff
        options = replace(self._engine.default_options, panoptic=bool(self._engine.labels.stuff))
        if score_threshold is not None:
            options = replace(options, score_threshold=score_threshold)
        start = now_ms()
        segmentations = self._engine.segment_batch(frames, options)
        segmented = now_ms()
        encode_all([segmentation.instances.masks for segmentation in segmentations], frames)
        done = now_ms()
        first = segmentations[0].stage_ms
        assemble = sum(segmentation.stage_ms["assemble"] for segmentation in segmentations)
        stages = (first["prepare"], first["infer"], assemble, done - segmented)
        timing = Timing(done - start, dict(zip(STAGES, stages, strict=True)))
        return timing, [segmentation.instances for segmentation in segmentations]

    def mask_ap(self, truth: Path, frames: Sequence[tuple[int, Frame]]) -> float | None:
        """Of frames by their image id, each with all its candidates, as `seg_node evaluate` does."""
        instances = read_instance_truth(truth)
        scorer = InstanceScorer(instances, self._engine.labels)
        options = replace(self._engine.default_options, duplicate_iou=1.0, panoptic=False)
        for number, frame in frames:
            scorer.add(instances.images[number], self._engine.segment(frame, options))
        return scorer.scores().means["mask_ap"]


class TorchvisionSystem:
    """torchvision's own model class, eager, as its documentation runs it."""

    precision = "fp32"

    def __init__(self, cell: Cell) -> None:
        self._device = choose_device(cell.device)
        network = (
            thin_mask_rcnn()
            if cell.family == "thin"
            else maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        )
        assert cell.weights is not None
        network.load_state_dict(torch.load(cell.weights, map_location="cpu", weights_only=True))
        self._network: Any = network.eval().to(self._device)

    @torch.inference_mode()
    def segment(
        self, frames: Sequence[Frame], score_threshold: float | None
    ) -> tuple[Timing, list[Instances]]:
        if score_threshold is not None:
            self._network.roi_heads.score_thresh = score_threshold
        times = [now_ms()]
        pixels = [torch.from_numpy(frame.pixels).to(self._device) for frame in frames]
        images = [image.flip(2).permute(2, 0, 1) / 255 for image in pixels]
        times.append(self._synchronised_ms())
        answers = self._network(images)
        times.append(self._synchronised_ms())
        found = [_instances(answer) for answer in answers]
        times.append(now_ms())
        encode_all([instances.masks for instances in found], frames)
        times.append(now_ms())
        stages = dict(zip(STAGES, np.diff(times).tolist(), strict=True))
        return Timing(times[-1] - times[0], stages), found

    def _synchronised_ms(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return now_ms()


def _instances(answer: dict[str, Tensor]) -> Instances:
    boxes = answer["boxes"].cpu().numpy()
    crops = torchvision_crops(answer["masks"], boxes)
    class_ids = answer["labels"].cpu().numpy().astype(np.int32)
    ids = np.arange(1, len(crops) + 1, dtype=np.uint32)
    return Instances(boxes, answer["scores"].cpu().numpy(), class_ids, crops, ids)


def build_system(cell: Cell) -> System:
    """Raises RuntimeError for a device that is not there; ValueError for weights that do not fit."""
    if cell.system == "torchvision":
        return TorchvisionSystem(cell)
    if cell.system == "detectron2":
        from common.detectron2_system import Detectron2System  # few have it

        return Detectron2System(cell)
    return SegNodeSystem(cell)


def reset_peak_memory(device: str) -> None:
    """Makes `peak_memory_mb` count anew."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(torch.device(device))
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: str) -> float:
    """On a GPU what tensors took at most; else the greatest resident set of this process, Python included."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(torch.device(device)) / 1e6
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
