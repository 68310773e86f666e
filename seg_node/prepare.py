"""From camera frames to the network's input tensor, on the device: one upload a frame.

Each software that checkpoints come from resizes with a bilinear filter of its own; one grey level of
difference changes what is found, so each is followed exactly.
Sources: torchvision `models/detection/transform.py: GeneralizedRCNNTransform` ("torchvision"), YOLACT
`utils/augmentations.py: FastBaseTransform` ("torch"), Detectron2 `ResizeShortestEdge` ("pillow"), mmcv
`imrescale` ("opencv").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seg_node.types import Frame


@dataclass(frozen=True)
class InputSpec:
    """The input a checkpoint was trained with.

    channels: order of the colours.
    mean, std: of each channel in that order; the network sees (pixel / pixel_max - mean) / std.
    pixel_max: 255 for means on a scale of 0 … 1, 1 for those on a scale of 0 … 255.
    resize: whose bilinear filter. torchvision: float, after normalising, sizes rounded down; torch: float,
    before normalising; pillow: whole grey levels, with a low-pass when shrinking; opencv: whole grey levels.
    min_size, max_size: the shorter side is scaled to min_size, unless the longer one would exceed max_size;
    min_size 0 leaves the image as it is.
    stretch: (height, width) that every image is scaled to instead, whatever its shape.
    multiple: height and width are padded with zeros, at the right and bottom, to multiples of it.
    """

    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    pixel_max: float = 255
    resize: Literal["torchvision", "torch", "pillow", "opencv"] = "torchvision"
    min_size: int = 800
    max_size: int = 1333
    stretch: tuple[int, int] | None = None
    multiple: int = 32

    def resized(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) to which an image of this size is scaled."""
        if self.stretch is not None:
            return self.stretch
        if self.min_size == 0:
            return image_size
        # each in float64 and in its reference's order, because a last bit can make a pixel more or less
        height, width = (float(side) for side in image_size)
        if self.resize == "pillow":
            scale = self.min_size / min(height, width)
            height, width = (
                (self.min_size, scale * width) if height < width else (scale * height, self.min_size)
            )
            if max(height, width) > self.max_size:
                scale = self.max_size / max(height, width)
                height, width = height * scale, width * scale
        else:
            scale = min(self.max_size / max(height, width), self.min_size / min(height, width))
            height, width = height * scale, width * scale
        rounding = 0.0 if self.resize == "torchvision" else 0.5
        return max(1, int(height + rounding)), max(1, int(width + rounding))


@dataclass(frozen=True)
class ModelInput:
    """pixels: float (N, 3, H, W), normalised and padded. sizes: (height, width) of each image unpadded."""

    pixels: Tensor
    sizes: tuple[tuple[int, int], ...]


def prepare_frames(frames: Sequence[Frame], spec: InputSpec, device: torch.device) -> ModelInput:
    """One batch of the frames, on the device; padded to the largest of them.

    Raises ValueError for a frame without pixels.
    """
    images = [_prepare(frame, spec, device) for frame in frames]
    sizes = tuple((image.shape[1], image.shape[2]) for image in images)
    height, width = (-(-max(side) // spec.multiple) * spec.multiple for side in zip(*sizes, strict=True))
    pixels = torch.zeros((len(images), 3, height, width), device=device)
    for padded, image, frame in zip(pixels, images, frames, strict=True):
        for plane, source in zip(padded, _source_planes(frame, spec), strict=True):
            plane[: image.shape[1], : image.shape[2]] = image[source]
    return ModelInput(pixels, sizes)


def _prepare(frame: Frame, spec: InputSpec, device: torch.device) -> Tensor:
    """float (3, h, w), normalised, of the size the network wants; channels in the frame's order."""
    if 0 in frame.image_size:
        raise ValueError(
            f"a frame of {frame.image_size[0]} rows and {frame.image_size[1]} columns has no pixels"
        )
    size = spec.resized(frame.image_size)
    if spec.resize == "torchvision":
        return _interpolate(_normalise(_upload(frame, device), frame, spec), size)
    if spec.resize == "torch":
        image = _interpolate(_upload(frame, device), size).permute(1, 2, 0)
    else:
        resize = _resize_pillow if spec.resize == "pillow" else _resize_opencv
        small = resize(_colours(frame.pixels), size)
        image = torch.from_numpy(small).to(device).to(torch.float32)
    return _normalise(image.contiguous(), frame, spec).permute(2, 0, 1)


def _source_planes(frame: Frame, spec: InputSpec) -> tuple[int, int, int]:
    """Which channel of the frame is the model's first, second, third."""
    same = frame.channels == "mono" or frame.channels[:3] == spec.channels
    return (0, 1, 2) if same else (2, 1, 0)


def _upload(frame: Frame, device: torch.device) -> Tensor:
    """float (H, W, 3) on a scale of 0 … 255, channels in the frame's order."""
    readable = frame.pixels.flags.writeable and min(frame.pixels.strides) >= 0  # by torch
    pixels = torch.from_numpy(frame.pixels if readable else frame.pixels.copy()).to(device)
    colours = pixels[..., None].expand(-1, -1, 3) if frame.channels == "mono" else pixels[..., :3]
    return colours.to(torch.float32, memory_format=torch.contiguous_format)


def _colours(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) in one piece, as Pillow and OpenCV take it."""
    colours = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]
    return np.ascontiguousarray(colours)


def _normalise(image: Tensor, frame: Frame, spec: InputSpec) -> Tensor:
    """The contiguous image (H, W, 3), changed in place."""
    planes = _source_planes(frame, spec)
    # one row of constants: three at a time would be slow
    mean, std = (
        torch.tensor([values[plane] for plane in planes], device=image.device).repeat(image.shape[1])
        for values in (spec.mean, spec.std)
    )
    rows = image.view(image.shape[0], -1)
    if spec.pixel_max != 1:
        rows.div_(spec.pixel_max)
    rows.sub_(mean).div_(std)
    return image


def _interpolate(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(H, W, 3) → (3, h, w), channels still innermost in memory: twice as fast, the same to the last bit."""
    return F.interpolate(image.permute(2, 0, 1)[None], size=size, mode="bilinear", align_corners=False)[0]


def _resize_pillow(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if size == image.shape[:2]:
        return image.copy()  # torch asks for memory it may write to
    return np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def _resize_opencv(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
