# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Semantic branch of Panoptic FPN (Kirillov et al. 2019): the stuff class of each pixel.

Source: Detectron2 `modeling/meta_arch/semantic_seg.py: SemSegFPNHead`.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seg_node.models.layers.backbones import NormLayer, conv_norm, count_numbered
from seg_node.untrusted.size_cache import size_cache

_MAX_LOGITS = 1 << 26  # resized at once: 256 MB


class SemanticHead(nn.Module):
    """Pyramid → class logits (N, classes, H/4, W/4): the sum of all maps, enlarged to stride 4.

    widths: output channels of the convolutions of each level, fine to coarse; the map is doubled in size
    after each one, except on the finest level, which already has stride 4.
    num_classes includes class 0, "a thing".
    """

    def __init__(
        self, in_channels: int, widths: Sequence[Sequence[int]], num_classes: int, norm: NormLayer | None
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            _level([in_channels, *outputs], norm, enlarged=level > 0) for level, outputs in enumerate(widths)
        )
        self.predictor = nn.Conv2d(widths[0][-1], num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        maps = [level(x) for level, x in zip(self.levels, features, strict=False)]
        return self.predictor(reduce(torch.add, maps))


def _level(widths: Sequence[int], norm: NormLayer | None, enlarged: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers.append(conv_norm(a, b, 3, norm))
        if enlarged:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


def build_semantic_head(tensors: Mapping[str, Tensor], prefix: str, norm: NormLayer | None) -> SemanticHead:
    """Build the head, with random weights, whose tensors are named `prefix` + levels.0.0.0.weight, ….

    Raises KeyError with the name of a tensor that should be there.
    """
    levels = [f"{prefix}levels.{level}." for level in range(count_numbered(tensors, f"{prefix}levels."))]
    widths = [
        [tensors[f"{level}{2 * i}.0.weight"].shape[0] for i in range(count_numbered(tensors, level))]
        for level in levels
    ]
    in_channels = tensors[f"{prefix}levels.0.0.0.weight"].shape[1]
    return SemanticHead(in_channels, widths, tensors[f"{prefix}predictor.weight"].shape[0], norm)


def classify_pixels(logits: Tensor, input_size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
    """Classify each pixel of the camera image, the first of equal classes: int64 or int32 (H, W).

    logits: (classes, h/4, w/4) of the padded input. input_size: (height, width) of the input without padding.
    Source: Detectron2 `modeling/postprocessing.py: sem_seg_postprocess`.
    """
    if not logits.is_cuda or len(logits) * image_size[0] * image_size[1] > _MAX_LOGITS:
        return _classify_in_one_step(logits, input_size, image_size)
    enlarged = F.interpolate(logits[None], scale_factor=4, mode="bilinear", align_corners=False)
    cropped = enlarged[..., : input_size[0], : input_size[1]]
    resized = F.interpolate(cropped, size=image_size, mode="bilinear", align_corners=False)[0]
    return resized.max(0).indices


def _classify_in_one_step(logits: Tensor, input_size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
    """Classify with both resizings merged into one, class by class, as sums of columns and rows.

    Four times as fast on the CPU, without gigabytes for large images. Sums round differently in the seventh
    digit.
    """
    rows = _taps(logits.shape[1], input_size[0], image_size[0], logits.device)
    columns = _taps(logits.shape[2], input_size[1], image_size[1], logits.device)
    highest = torch.full(image_size, -torch.inf, device=logits.device)
    kind = torch.uint8 if len(logits) <= 256 else torch.int16
    numbers = torch.zeros(image_size, dtype=kind, device=logits.device)
    row = torch.empty_like(highest)
    for number, one in enumerate(logits.float()):
        wide = reduce(torch.add, (one.index_select(1, place) * weight for place, weight in columns))
        values = torch.zeros_like(highest)
        for place, weight in rows:
            torch.index_select(wide, 0, place, out=row)
            values.addcmul_(row, weight[:, None])
        higher = values > highest
        torch.maximum(highest, values, out=highest)
        # equals masked_fill_ with the number, since it only grows
        torch.maximum(numbers, higher.to(kind).mul_(number), out=numbers)
    return numbers.to(torch.int32)


@size_cache(entries=16, longest=1 << 14)
def _taps(grid: int, used: int, pixels: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """List the up to three grid cells that each pixel is made of: indices and weights (pixels,).

    grid: number of cells; enlarged four times, the first `used` are resized. Weights are PyTorch's own.
    """
    weights = torch.eye(grid)
    enlarged = F.interpolate(weights[None, None], size=(4 * grid, grid), mode="bilinear", align_corners=False)
    weights = F.interpolate(enlarged[:, :, :used], size=(pixels, grid), mode="bilinear", align_corners=False)[
        0, 0
    ]
    taps = min(3, grid)
    first = (weights != 0).to(torch.uint8).argmax(1).clamp(max=grid - taps)
    places = [first + tap for tap in range(taps)]
    return [(place.to(device), weights.gather(1, place[:, None])[:, 0].to(device)) for place in places]
