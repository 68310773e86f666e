# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT (Bolya et al. 2019): one pass predicts boxes, prototype masks and each box's mixing coefficients.

Module names are those of dbolya/yolact, so its checkpoints load almost without renaming. Source:
`yolact.py: Yolact, FPN, PredictionModule`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Conv = tuple[int, int]  # width, kernel size
Layer = Conv | None  # None doubles the resolution


@dataclass(frozen=True)
class YolactSpec:
    """Widths and depths above the backbone.

    stage_channels: the backbone's last stages, fine to coarse. num_classes includes the background.
    downsamples: levels of the pyramid beyond the backbone's. upfeature: layers that the three heads share.
    mask_iou: layers of YOLACT++'s network that rates masks; empty without it.
    """

    stage_channels: tuple[int, ...]
    fpn_channels: int
    downsamples: int
    proto: tuple[Layer, ...]
    upfeature: tuple[Layer, ...]
    num_classes: int
    mask_dim: int
    priors_per_cell: int
    head_kernel: int
    mask_iou: tuple[Conv, ...] = ()


class YolactOutput(NamedTuple):
    """The network's output for N images, P priors each; float32.

    loc: (N, P, 4) box offsets. class_probs: (N, P, classes), 0 is the background.
    coefficients: (N, P, K) in -1 … 1, of the prototypes: (N, h, w, K), not negative.
    """

    loc: Tensor
    class_probs: Tensor
    coefficients: Tensor
    prototypes: Tensor


def _conv_stack(in_channels: int, layers: Sequence[Layer]) -> nn.Sequential:
    """Build the layers, each followed by a ReLU."""
    stack: list[nn.Module] = []
    for layer in layers:
        if layer is None:
            stack.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
        else:
            channels, kernel = layer
            stack.append(nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2))
            in_channels = channels
        stack.append(nn.ReLU(inplace=True))
    return nn.Sequential(*stack)


class YolactPyramid(nn.Module):
    """Backbone stages, fine to coarse → as many maps of equal width, and coarser ones by strided convolution.

    Unlike Lin et al. 2016 it enlarges bilinearly. Its layers are stored from coarse to fine.
    """

    def __init__(self, spec: YolactSpec) -> None:
        super().__init__()
        width, stages = spec.fpn_channels, spec.stage_channels
        self.lat_layers = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in reversed(stages))
        self.pred_layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in stages)
        self.downsample_layers = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(spec.downsamples)
        )

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        merged: list[Tensor] = []
        for layer, stage in zip(self.lat_layers, reversed(stages), strict=True):
            x = layer(stage)
            if merged:
                x += F.interpolate(merged[-1], size=x.shape[-2:], mode="bilinear", align_corners=False)
            merged.append(x)
        maps = [F.relu(layer(x)) for layer, x in zip(self.pred_layers, merged, strict=True)][::-1]
        for layer in self.downsample_layers:
            maps.append(layer(maps[-1]))
        return maps


class PredictionHead(nn.Module):
    """One level's map → offsets, class logits and mask coefficients of its priors, each (N, priors, …).

    Priors are ordered by row, column, then shape.
    """

    def __init__(self, spec: YolactSpec) -> None:
        super().__init__()
        if spec.upfeature:
            self.upfeature = _conv_stack(spec.fpn_channels, spec.upfeature)
        last = spec.upfeature[-1] if spec.upfeature else None
        width, kernel = last[0] if last else spec.fpn_channels, spec.head_kernel
        self.sizes = 4, spec.num_classes, spec.mask_dim
        self.bbox_layer, self.conf_layer, self.mask_layer = (
            nn.Conv2d(width, spec.priors_per_cell * size, kernel, padding=kernel // 2) for size in self.sizes
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if hasattr(self, "upfeature"):
            x = self.upfeature(x)
        layers = self.bbox_layer, self.conf_layer, self.mask_layer
        return tuple(
            layer(x).float().permute(0, 2, 3, 1).reshape(len(x), -1, size)
            for layer, size in zip(layers, self.sizes, strict=True)
        )


class MaskIoUNet(nn.Module):
    """Cropped mask probabilities (N, h, w) → their expected IoU as each class (N, classes)."""

    def __init__(self, layers: Sequence[Conv]) -> None:
        super().__init__()
        stack: list[nn.Module] = []
        in_channels = 1
        for channels, kernel in layers:  # not padded; all but the last (1x1) halve the resolution
            stack += [nn.Conv2d(in_channels, channels, kernel, 2 if kernel > 1 else 1), nn.ReLU(inplace=True)]
            in_channels = channels
        self.maskiou_net = nn.Sequential(*stack)

    def forward(self, masks: Tensor) -> Tensor:
        return self.maskiou_net(masks[:, None]).amax(dim=(2, 3)).float()


class Yolact(nn.Module):
    """Images (N, 3, S, S) of the size that the priors are for → `YolactOutput`, the model's dense part."""

    priors: Tensor

    def __init__(self, backbone: nn.Module, spec: YolactSpec, priors: Tensor) -> None:
        """Build the network. backbone: its last stages have stride 8, 16, 32. priors: see `make_priors`."""
        super().__init__()
        self.backbone = backbone
        self.fpn = YolactPyramid(spec)
        self.proto_net = _conv_stack(spec.fpn_channels, spec.proto)
        self.prediction_layers = nn.ModuleList([PredictionHead(spec)])  # one for all levels
        self.maskiou_net = MaskIoUNet(spec.mask_iou) if spec.mask_iou else None
        self.register_buffer("priors", priors, persistent=False)

    def forward(self, pixels: Tensor) -> YolactOutput:
        maps = self.fpn(self.backbone(pixels)[-len(self.fpn.lat_layers) :])
        levels = [self.prediction_layers[0](level) for level in maps]
        loc, logits, coefficients = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))
        prototypes = self.proto_net(maps[0]).float().permute(0, 2, 3, 1).contiguous()
        return YolactOutput(loc, logits.softmax(-1), coefficients.tanh(), prototypes)
