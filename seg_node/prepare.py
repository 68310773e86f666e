"""From camera frames to the network's input tensor, on the device: one upload a frame.

Source of the arithmetic: torchvision `models/detection/transform.py: GeneralizedRCNNTransform`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.types import Frame


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
    for padded, image, frame in zip(pixels, images, frames, strict=True):
        for plane, source in zip(padded, _source_planes(frame, spec), strict=True):
            plane[: image.shape[1], : image.shape[2]] = image[source]
    return ModelInput(pixels, sizes)


def _source_planes(frame: Frame, spec: InputSpec) -> tuple[int, int, int]:
    """Which channel of the frame is the model's first, second, third."""
    same = frame.channels == "mono" or frame.channels[:3] == spec.channels
    return (0, 1, 2) if same else (2, 1, 0)


def _normalise(frame: Frame, spec: InputSpec, device: torch.device) -> Tensor:
    """float (H, W, 3), channels in the frame's order."""
    if 0 in frame.image_size:
        raise ValueError(
            f"a frame of {frame.image_size[0]} rows and {frame.image_size[1]} columns has no pixels"
        )
    readable = frame.pixels.flags.writeable and min(frame.pixels.strides) >= 0  # by torch
    pixels = torch.from_numpy(frame.pixels if readable else frame.pixels.copy()).to(device)
    colours = pixels[..., None].expand(-1, -1, 3) if frame.channels == "mono" else pixels[..., :3]
    image = colours.to(torch.float32, memory_format=torch.contiguous_format)
    planes = _source_planes(frame, spec)
    # one row of constants: three at a time would be slow
    mean, std = (
        torch.tensor([values[plane] for plane in planes], device=device).repeat(image.shape[1])
        for values in (spec.mean, spec.std)
    )
    image.view(image.shape[0], -1).div_(255).sub_(mean).div_(std)
    return image


def _resize(image: Tensor, spec: InputSpec) -> Tensor:
    """(H, W, 3) → (3, h, w), channels still innermost in memory: twice as fast, the same to the last bit."""
    size = spec.resized((image.shape[0], image.shape[1]))
    return F.interpolate(image.permute(2, 0, 1)[None], size=size, mode="bilinear", align_corners=False)[0]
