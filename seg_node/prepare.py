"""From camera frames to the network's input tensor, on the device: one upload a frame.

Source of the arithmetic: torchvision `models/detection/transform.py: GeneralizedRCNNTransform`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.types import Channels, Frame


@dataclass(frozen=True)
class InputSpec:
    """The input a checkpoint was trained with.

    channels: order of the colours.
    mean, std: of each channel in that order, on a scale of 0 … 1.
    min_size, max_size: the shorter side is scaled to min_size, unless the longer one would exceed max_size.
    multiple: height and width are padded with zeros, at the right and bottom, to multiples of it.
    """

    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    min_size: int = 800
    max_size: int = 1333
    multiple: int = 32

    def resized(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) to which an image of this size is scaled."""
        # float64 and rounded down, as F.interpolate(scale_factor, recompute_scale_factor=True) does
        scale = min(self.min_size / min(image_size), self.max_size / max(image_size))
        height, width = image_size
        return max(1, int(height * scale)), max(1, int(width * scale))


@dataclass(frozen=True)
class ModelInput:
    """pixels: float (N, 3, H, W), normalised and padded. sizes: (height, width) of each image unpadded."""

    pixels: Tensor
    sizes: tuple[tuple[int, int], ...]


def prepare_frames(frames: Sequence[Frame], spec: InputSpec, device: torch.device) -> ModelInput:
    """One batch of the frames, on the device; padded to the largest of them.

    Raises ValueError for a frame without pixels.
    """
    images = [_resize(_normalise(frame, spec, device), spec) for frame in frames]
    sizes = tuple((image.shape[1], image.shape[2]) for image in images)
    height, width = (-(-max(side) // spec.multiple) * spec.multiple for side in zip(*sizes, strict=True))
    pixels = torch.zeros((len(images), 3, height, width), device=device)
    for padded, image in zip(pixels, images, strict=True):
        padded[:, : image.shape[1], : image.shape[2]] = image
    return ModelInput(pixels, sizes)


def _normalise(frame: Frame, spec: InputSpec, device: torch.device) -> Tensor:
    """float (3, h, w) in the model's order of colours."""
    if 0 in frame.image_size:
        raise ValueError(f"frame of {frame.image_size[0]}x{frame.image_size[1]} pixels: nothing to segment")
    readable = frame.pixels.flags.writeable and min(frame.pixels.strides) >= 0  # by torch
    pixels = torch.from_numpy(frame.pixels if readable else frame.pixels.copy()).to(device)
    if frame.channels == "mono":
        planes = pixels.expand(3, *pixels.shape)
    else:
        planes = pixels[..., _plane_order(frame.channels, spec.channels)].permute(2, 0, 1)
    image = planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    mean = torch.tensor(spec.mean, device=device)[:, None, None]
    std = torch.tensor(spec.std, device=device)[:, None, None]
    return image.sub_(mean).div_(std)


def _plane_order(source: Channels, wanted: Literal["rgb", "bgr"]) -> list[int]:
    return [0, 1, 2] if source[:3] == wanted else [2, 1, 0]


def _resize(image: Tensor, spec: InputSpec) -> Tensor:
    size = spec.resized((image.shape[1], image.shape[2]))
    return F.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]
