# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Images scaled into the network's input with their aspect ratio kept, in the middle of a grey border.

Source: the reference's predictor run on images of many sizes; its input is reproduced to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.preprocess.prepare import InputSpec, prepare_frames
from seg_node.types import Frame

_GREY = 114 / 255


@dataclass(frozen=True)
class Letterbox:
    """Where an image lies in the network's input.

    input_size, resized: (height, width) of the input, and of the image in it.
    top, left: the image's first row and column.
    """

    input_size: tuple[int, int]
    resized: tuple[int, int]
    top: int
    left: int

    def to_image(self, boxes_xyxy: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Map boxes (N, 4) from the input's pixels to the image's, clipped to the image."""
        (height, width), (rows, columns) = image_size, self.resized
        start = boxes_xyxy.new_tensor([self.left, self.top, self.left, self.top])
        scale = boxes_xyxy.new_tensor([columns / width, rows / height] * 2)
        end = boxes_xyxy.new_tensor([width, height, width, height])
        return torch.minimum(((boxes_xyxy - start) / scale).clamp(min=0), end)


def fit_letterbox(image_size: tuple[int, int], largest: tuple[int, int], stride: int | None) -> Letterbox:
    """Fit an image of (height, width) into the input.

    largest: (height, width) of the input. stride: None for a network whose input has that size only; else the
    border is cut down to what makes the input a multiple of the stride.
    Raises ValueError for an image without pixels.
    """
    if 0 in image_size:
        raise ValueError(f"a frame of {image_size[0]} rows and {image_size[1]} columns has no pixels")
    scale = min(largest[0] / image_size[0], largest[1] / image_size[1])
    resized = [max(1, round(side * scale)) for side in image_size]
    border = [whole - side for whole, side in zip(largest, resized, strict=True)]
    if stride is not None:
        border = [side % stride for side in border]
    # an odd border has its further row below, its further column on the right
    top, left = (side // 2 for side in border)
    return Letterbox((resized[0] + border[0], resized[1] + border[1]), (resized[0], resized[1]), top, left)


def prepare_letterboxed(frames: Sequence[Frame], letterbox: Letterbox, device: torch.device) -> Tensor:
    """Upload frames of one size as the network's input: float32 (N, 3, H, W), RGB from 0 to 1."""
    spec = InputSpec(
        "rgb", mean=(0, 0, 0), std=(1, 1, 1), resize="opencv", stretch=letterbox.resized, multiple=1
    )
    pixels = prepare_frames(frames, spec, device).pixels
    bottom, right = (
        whole - side - start
        for whole, side, start in zip(
            letterbox.input_size, letterbox.resized, (letterbox.top, letterbox.left), strict=True
        )
    )
    return F.pad(pixels, (letterbox.left, right, letterbox.top, bottom), value=_GREY)
