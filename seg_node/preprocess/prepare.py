"""From camera frames to the network's input tensor, on the device: one upload a frame.

Each software that checkpoints come from resizes with a bilinear filter of its own; one grey level of
difference changes what is found, so each is followed exactly.
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

_ROW = 1024  # pixels whose normalisation is kept
_LARGE = 1 << 23  # pixels above which memory counts more than speed: 4K is below
_AT_ONCE = 1 << 19  # pixels of a large image that are changed at a time: 6 MB


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


def prepare_frames(
    frames: Sequence[Frame], spec: InputSpec, device: torch.device, exact: bool = True
) -> ModelInput:
    """One batch of the frames, on the device; padded to the largest of them.

    exact: False lays the pixels out as channels_last, and on a CPU lets OpenCV do the float resizing: faster,
    and normalised pixels change by up to 5e-4 in
    an image of 1280 columns, where float32 rounds the places between pixels.
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
    """uint8 (N, H, W, C) of frames that are alike; C 1, 3 or 4, in the frames' order."""
    if device.type == "cuda":
        # PyTorch keeps pinned memory for the next frame, but lends it only once its copy has ended
        pinned = torch.empty((len(frames), *frames[0].pixels.shape), dtype=torch.uint8, pin_memory=True)
        for target, frame in zip(pinned.numpy(), frames, strict=True):
            np.copyto(target, frame.pixels)
        images = pinned.to(device, non_blocking=True)
    else:
        (frame,) = frames
        readable = frame.pixels.flags.writeable and min(frame.pixels.strides) >= 0  # by torch
        images = torch.from_numpy(frame.pixels if readable else frame.pixels.copy())[None]
    return images[..., None] if images.ndim == 3 else images


def write_pixels(pixels: Tensor, images: Tensor, channels: Channels, spec: InputSpec, exact: bool) -> None:
    """Fill pixels, float (N, 3, H, W), from images that are alike, uint8 (N, h, w, C) on the same device.

    On CUDA it neither waits nor uploads, but for the first images of a size: a CUDA graph may hold it.
    """
    size = spec.resized((images.shape[1], images.shape[2]))
    colours = images.expand(-1, -1, -1, 3) if channels == "mono" else images[..., :3]
    swapped = channels != "mono" and channels[:3] != spec.channels
    target = pixels[:, :, : size[0], : size[1]].permute(0, 2, 3, 1)
    pixels[:, :, size[0] :].zero_()
    pixels[:, :, :, size[1] :].zero_()
    large = not images.is_cuda and images.shape[1] * images.shape[2] > _LARGE
    if spec.resize in ("torchvision", "torch") and not (exact or images.is_cuda or large):
        for written, colour in zip(target, colours, strict=True):
            _write_faster(written, colour, spec, swapped)
        return
    if spec.resize in ("pillow", "opencv"):
        image = _resize_levels(colours, size, spec).to(torch.float32)
        image = _normalise(image.contiguous(), spec, swapped)
    elif spec.resize == "torch":
        image = _rows_read(colours, size[0], _to_float) if large else _to_float(colours)
        image = _normalise(_interpolate(image, size).contiguous(), spec, swapped)
    else:

        def normalised(levels: Tensor) -> Tensor:
            return _normalise(_to_float(levels), spec, swapped)

        image = _rows_read(colours, size[0], normalised) if large else normalised(colours)
        image = _interpolate(image, size)
    for plane in range(3):
        target[..., plane] = image[..., 2 - plane if swapped else plane]


def _normalise(image: Tensor, spec: InputSpec, swapped: bool) -> Tensor:
    """The contiguous images (N, H, W, 3), changed in place."""
    pixel_max, mean, std = _constants(spec, swapped, image.device)
    for rows in _as_rows(image):
        if spec.pixel_max != 1:
            rows.div_(pixel_max if rows.is_cuda else spec.pixel_max)
        rows.sub_(mean[: rows.shape[1]]).div_(std[: rows.shape[1]])
    return image


def _as_rows(image: Tensor) -> list[Tensor]:
    """The values of contiguous images (…, 3), as rows of _ROW pixels and a row of what remains."""
    values = image.view(-1)
    even = len(values) - len(values) % (3 * _ROW)
    whole, rest = values[:even].view(-1, 3 * _ROW), values[even:].view(1, -1)
    return [rows for rows in (whole, rest) if rows.numel()]


@lru_cache(maxsize=64)
def _constants(spec: InputSpec, swapped: bool, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """pixel_max, as a tensor (1,): CUDA would multiply by the reciprocal of a Python number.

    Means and standard deviations of a row, (3 · _ROW,), whatever an image's width: three at a time would be
    slow.
    """
    mean, std = (values[::-1] if swapped else values for values in (spec.mean, spec.std))
    return (
        torch.tensor([spec.pixel_max], dtype=torch.float32, device=device),
        torch.tensor(mean, device=device).repeat(_ROW),
        torch.tensor(std, device=device).repeat(_ROW),
    )


@lru_cache(maxsize=64)
def _linear(spec: InputSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Offset and factor that normalise the values of a row, (3 · _ROW,) each."""
    pixel_max, mean, std = _constants(spec, False, device)
    return -mean / std, 1 / (std * pixel_max)


def _write_faster(target: Tensor, image: Tensor, spec: InputSpec, swapped: bool) -> None:
    """On the CPU, into float (h, w, 3), channels innermost, from uint8 (H, W, 3)."""
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


def _rows_read(colours: Tensor, height: int, change: Callable[[Tensor], Tensor]) -> Tensor:
    """`change` of large images uint8 (N, H, W, 3): float32, only of the rows that resizing to `height` reads.

    The other rows are never written, and the system gives no memory for them: 0.2 GB for 64 MP, not 0.8.
    """
    images, before, width, _ = colours.shape
    place = (torch.arange(height, dtype=torch.float64) + 0.5) * before / height - 0.5
    slack = 1e-3 + before * 1e-6  # PyTorch reckons the places in float32
    first, last = (place - slack).floor().to(torch.int64), (place + slack).floor().to(torch.int64) + 1
    between = torch.arange(int((last - first).max()) + 1)
    rows = (first[:, None] + between).clamp(0, before - 1).unique()
    changed = torch.empty((images, before, width, 3))
    for some in rows.split(max(1, _AT_ONCE // width)):
        changed[:, some] = change(colours[:, some])
    return changed


def _interpolate(image: Tensor, size: tuple[int, int]) -> Tensor:
    """float (N, H, W, 3) → (N, h, w, 3)."""
    # channels stay innermost in memory: twice as fast, the same to the last bit
    planes = image.permute(0, 3, 1, 2)
    if len(planes) == 1 and not image.is_cuda:
        planes = planes[0][None]  # no longer called channels_last, whose kernel takes three times as long
    return F.interpolate(planes, size=size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def _resize_levels(colours: Tensor, size: tuple[int, int], spec: InputSpec) -> Tensor:
    """uint8 (N, H, W, 3) → (N, h, w, 3); on a CPU by Pillow or OpenCV themselves, which are faster there."""
    if colours.is_cuda:
        return (resize_pillow if spec.resize == "pillow" else resize_opencv)(colours, size)
    resize = _pillow if spec.resize == "pillow" else _opencv
    return torch.from_numpy(np.stack([resize(image, size) for image in colours.contiguous().numpy()]))


def _pillow(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def _opencv(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
