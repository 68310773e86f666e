# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Convert camera frames to the network's input tensor on the device, with one upload per frame.

Every reference implementation resizes with its own bilinear filter, and one grey level of difference changes
detections, so each filter is reproduced exactly.
Sources: torchvision `models/detection/transform.py: GeneralizedRCNNTransform` ("torchvision"), YOLACT
`utils/augmentations.py: FastBaseTransform` ("torch"), Detectron2 `ResizeShortestEdge` ("pillow"), mmcv
`imrescale` ("opencv").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seg_node.preprocess.resize import resize_opencv, resize_pillow
from seg_node.types import Channels, Frame

_ROW_PIXELS = 1024  # normalised at a time, with cached means
_LARGE_PIXELS = 1 << 23  # above 4K: memory matters more than speed
_CHUNK_PIXELS = 1 << 19  # of a large image, converted at a time: 6 MB


@dataclass(frozen=True)
class InputSpec:
    """The input format a checkpoint was trained with.

    channels: order of the colours.
    mean, std: per channel in that order; the network's input is (pixel / pixel_max - mean) / std.
    pixel_max: 255 for means between 0 and 1, 1 for means between 0 and 255.
    resize: the bilinear filter. torchvision: float, after normalising, sizes rounded down; torch: float,
    before normalising; pillow: integer levels, antialiased when shrinking; opencv: integer levels.
    min_size, max_size: the shorter side is scaled to min_size, or the longer one to max_size if it would be
    larger; min_size 0 keeps the image's size.
    stretch: (height, width) that every image is scaled to instead, without keeping its aspect ratio.
    multiple: height and width are zero-padded at the right and bottom to multiples of it.
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
        """The (height, width) that an image of this size is scaled to."""
        if self.stretch is not None:
            return self.stretch
        if self.min_size == 0:
            return image_size
        # in float64 and in the reference's order: the last bit can change a size by one pixel
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
    """A batch for the network.

    pixels: float (N, 3, H, W), normalised and padded. sizes: (height, width) of each image before padding.
    """

    pixels: Tensor
    sizes: tuple[tuple[int, int], ...]


def prepare_frames(
    frames: Sequence[Frame], spec: InputSpec, device: torch.device, exact: bool = True
) -> ModelInput:
    """Prepare the frames as one batch on the device, padded to the largest of them.

    exact: False uses the channels_last layout and on a CPU OpenCV's float resizing. It is faster and changes
    normalised pixels by up to 5e-4 at 1280 columns, because float32 rounds the positions between pixels.
    Raises ValueError for a frame without pixels.
    """
    for frame in frames:
        if 0 in frame.image_size:
            raise ValueError(
                f"a frame of {frame.image_size[0]} rows and {frame.image_size[1]} columns has no pixels"
            )
    sizes = tuple(spec.resized(frame.image_size) for frame in frames)
    height, width = (-(-max(side) // spec.multiple) * spec.multiple for side in zip(*sizes, strict=True))
    layout = torch.contiguous_format if exact else torch.channels_last
    pixels = torch.empty((len(frames), 3, height, width), device=device, memory_format=layout)
    alike = device.type == "cuda" and len({(f.pixels.shape, f.channels) for f in frames}) == 1
    step = len(frames) if alike else 1
    for start in range(0, len(frames), step):
        group = frames[start : start + step]
        uploaded = _upload(group, device)
        write_pixels(pixels[start : start + step], uploaded, group[0].channels, spec, exact)
    return ModelInput(pixels, sizes)


def _upload(frames: Sequence[Frame], device: torch.device) -> Tensor:
    """Upload frames of one shape as uint8 (N, H, W, C), C 1, 3 or 4 with the frames' channel order."""
    if device.type == "cuda":
        # PyTorch caches pinned memory and reuses it only after its copy has ended
        pinned = torch.empty((len(frames), *frames[0].pixels.shape), dtype=torch.uint8, pin_memory=True)
        for target, frame in zip(pinned.numpy(), frames, strict=True):
            np.copyto(target, frame.pixels)
        images = pinned.to(device, non_blocking=True)
    else:
        (frame,) = frames
        readable = frame.pixels.flags.writeable and min(frame.pixels.strides) >= 0  # as torch requires
        images = torch.from_numpy(frame.pixels if readable else frame.pixels.copy())[None]
    return images[..., None] if images.ndim == 3 else images


def write_pixels(pixels: Tensor, images: Tensor, channels: Channels, spec: InputSpec, exact: bool) -> None:
    """Fill pixels, float (N, 3, H, W), from images of one shape, uint8 (N, h, w, C) on the same device.

    On CUDA it neither synchronises nor uploads, except for the first images of a size, so that a CUDA graph
    can capture it.
    """
    size = spec.resized((images.shape[1], images.shape[2]))
    colours = images.expand(-1, -1, -1, 3) if channels == "mono" else images[..., :3]
    swapped = channels != "mono" and channels[:3] != spec.channels
    target = pixels[:, :, : size[0], : size[1]].permute(0, 2, 3, 1)
    pixels[:, :, size[0] :].zero_()
    pixels[:, :, :, size[1] :].zero_()
    large = not images.is_cuda and images.shape[1] * images.shape[2] > _LARGE_PIXELS
    if spec.resize in ("torchvision", "torch") and not (exact or images.is_cuda or large):
        for written, colour in zip(target, colours, strict=True):
            _write_approximate(written, colour, spec, swapped)
        return
    if spec.resize in ("pillow", "opencv"):
        image = _resize_levels(colours, size, spec).to(torch.float32)
        image = _normalise(image.contiguous(), spec, swapped)
    elif spec.resize == "torch":
        image = _convert_needed_rows(colours, size[0], _to_float) if large else _to_float(colours)
        image = _normalise(_interpolate(image, size).contiguous(), spec, swapped)
    else:

        def normalised(levels: Tensor) -> Tensor:
            return _normalise(_to_float(levels), spec, swapped)

        image = _convert_needed_rows(colours, size[0], normalised) if large else normalised(colours)
        image = _interpolate(image, size)
    for plane in range(3):
        target[..., plane] = image[..., 2 - plane if swapped else plane]


def _normalise(image: Tensor, spec: InputSpec, swapped: bool) -> Tensor:
    """Normalise contiguous images (N, H, W, 3) in place."""
    pixel_max, mean, std = _constants(spec, swapped, image.device)
    for rows in _as_rows(image):
        if spec.pixel_max != 1:
            rows.div_(pixel_max if rows.is_cuda else spec.pixel_max)
        rows.sub_(mean[: rows.shape[1]]).div_(std[: rows.shape[1]])
    return image


def _as_rows(image: Tensor) -> list[Tensor]:
    """View contiguous images (…, 3) as rows of _ROW_PIXELS pixels, and the remainder as one row."""
    values = image.view(-1)
    even = len(values) - len(values) % (3 * _ROW_PIXELS)
    whole, rest = values[:even].view(-1, 3 * _ROW_PIXELS), values[even:].view(1, -1)
    return [rows for rows in (whole, rest) if rows.numel()]


@lru_cache(maxsize=64)
def _constants(spec: InputSpec, swapped: bool, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """pixel_max (1,), and means and standard deviations repeated for a row, (3 · _ROW_PIXELS,) each.

    pixel_max is a tensor, because CUDA multiplies by the reciprocal of a Python number. Rows are independent
    of the image's width; broadcasting over three values would be slow.
    """
    mean, std = (values[::-1] if swapped else values for values in (spec.mean, spec.std))
    return (
        torch.tensor([spec.pixel_max], dtype=torch.float32, device=device),
        torch.tensor(mean, device=device).repeat(_ROW_PIXELS),
        torch.tensor(std, device=device).repeat(_ROW_PIXELS),
    )


@lru_cache(maxsize=64)
def _linear(spec: InputSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Offset and factor that normalise a row, (3 · _ROW_PIXELS,) each."""
    pixel_max, mean, std = _constants(spec, False, device)
    return -mean / std, 1 / (std * pixel_max)


def _write_approximate(target: Tensor, image: Tensor, spec: InputSpec, swapped: bool) -> None:
    """Normalise and resize with OpenCV on the CPU: uint8 (H, W, 3) into channels-last float (h, w, 3)."""
    levels = image.numpy()
    if swapped:
        levels = cv2.cvtColor(levels, cv2.COLOR_BGR2RGB)
    image = torch.from_numpy(levels).to(torch.float32, memory_format=torch.contiguous_format)
    offset, factor = _linear(spec, image.device)
    for rows in _as_rows(image):
        torch.addcmul(offset[: rows.shape[1]], rows, factor[: rows.shape[1]], out=rows)
    target.copy_(torch.from_numpy(cv2.resize(image.numpy(), (target.shape[1], target.shape[0]))))


def _to_float(levels: Tensor) -> Tensor:
    return levels.to(torch.float32, memory_format=torch.contiguous_format)


def _convert_needed_rows(colours: Tensor, height: int, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `change` to large images, uint8 (N, H, W, 3) → float32, in the rows that resizing reads.

    The other rows are never written, so the system allocates no memory for them: 0.2 GB for 64 MP, not 0.8.
    """
    images, before, width, _ = colours.shape
    place = (torch.arange(height, dtype=torch.float64) + 0.5) * before / height - 0.5
    slack = 1e-3 + before * 1e-6  # because PyTorch computes positions in float32
    first, last = (place - slack).floor().to(torch.int64), (place + slack).floor().to(torch.int64) + 1
    between = torch.arange(int((last - first).max()) + 1)
    rows = (first[:, None] + between).clamp(0, before - 1).unique()
    changed = torch.empty((images, before, width, 3))
    for some in rows.split(max(1, _CHUNK_PIXELS // width)):
        changed[:, some] = change(colours[:, some])
    return changed


def _interpolate(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize float images (N, H, W, 3) → (N, h, w, 3)."""
    # channels stay innermost in memory: twice as fast, identical to the last bit
    planes = image.permute(0, 3, 1, 2)
    if len(planes) == 1 and not image.is_cuda:
        planes = planes[0][None]  # hides channels_last, whose kernel is three times slower
    return F.interpolate(planes, size=size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def _resize_levels(colours: Tensor, size: tuple[int, int], spec: InputSpec) -> Tensor:
    """Resize uint8 images (N, H, W, 3) → (N, h, w, 3); on a CPU with Pillow or OpenCV, which are faster."""
    if colours.is_cuda:
        return (resize_pillow if spec.resize == "pillow" else resize_opencv)(colours, size)
    resize = _pillow if spec.resize == "pillow" else _opencv
    return torch.from_numpy(np.stack([resize(image, size) for image in colours.contiguous().numpy()]))


def _pillow(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def _opencv(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
