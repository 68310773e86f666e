# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Frames → the inputs of the library's networks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from seg_node.models.gpu.transfer import upload
from seg_node.types import Frame

ToInput = Callable[[PIL.Image.Image], Mapping[str, Any]]  # a processor of the library, for one picture

_TO_RGB = {
    "bgr": cv2.COLOR_BGR2RGB,
    "bgra": cv2.COLOR_BGRA2RGB,
    "rgba": cv2.COLOR_RGBA2RGB,
    "mono": cv2.COLOR_GRAY2RGB,
}


def prepare_inputs(
    frames: Sequence[Frame], to_input: ToInput, device: torch.device
) -> list[Mapping[str, Tensor]]:
    """Prepare the library's own inputs and upload them.

    There is one per frame, since post-processing would treat a batch's padding as image.
    Raises ValueError for a frame without pixels.
    """
    return [_upload_tensors(to_input(to_rgb(frame)), device) for frame in frames]


def autocast(network: nn.Module) -> torch.autocast:
    """Enable autocast for layers in half precision, which the library mixes with tensors of its own."""
    halves = (weight for weight in network.parameters() if weight.dtype != torch.float32)
    half = next(halves, None)
    if half is None:
        return torch.autocast("cpu", enabled=False)
    return torch.autocast(half.device.type, half.dtype)


def _upload_tensors(inputs: Mapping[str, Any], device: torch.device) -> Mapping[str, Any]:
    """Upload the tensors and keep other values, such as EoMT's empty list of patch_offsets."""
    return {
        name: upload(value, device) if isinstance(value, Tensor) else value for name, value in inputs.items()
    }


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
