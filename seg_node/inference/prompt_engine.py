# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Run a model for boxes and points on a device, in float32."""

import contextlib
from pathlib import Path

import torch

from seg_node.inference.check_result import check_segmentation
from seg_node.inference.device_errors import watch_device
from seg_node.inference.engine import OutOfMemory, choose_device
from seg_node.inference.precision import full_float32
from seg_node.models.transformers.prompt_mask import PromptMaskModel, SpatialPrompts
from seg_node.models.transformers.prompt_mask_folder import load_prompt_mask
from seg_node.types import Frame, LabelSet, Segmentation

LABELS = LabelSet({0: "object"})  # what is pointed at has no name


def open_prompt_engine(folder: str, device_name: str) -> "PromptEngine":
    """Load the folder's model to the device. Raises LoadError, and what `choose_device` raises."""
    device = choose_device(device_name)
    return PromptEngine(load_prompt_mask(Path(folder).expanduser()), device)


class PromptEngine:
    """One model on one device; used by one thread at a time."""

    def __init__(self, model: PromptMaskModel, device: torch.device) -> None:
        self._model, self._device = model, device
        with watch_device(device):
            model.network.to(device)

    def segment(self, frame: Frame, prompts: SpatialPrompts) -> Segmentation:
        """Segment what the prompts point at; all of class 0.

        Raises ValueError for prompts that do not fit, OutOfMemory, DeviceLost, and BadResult.
        """
        on_gpu = self._device.type == "cuda"
        device = torch.cuda.device(self._device) if on_gpu else contextlib.nullcontext()
        with watch_device(self._device), full_float32(), device:
            try:
                found = Segmentation(frame.image_size, self._model(frame, prompts), labels=LABELS)
            except torch.cuda.OutOfMemoryError as error:
                raise OutOfMemory(f"{self._device} has too little memory for these prompts") from error
        check_segmentation(found, LABELS)
        return found
