# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""DarkNet-53 (YOLOv3, Redmon & Farhadi 2018) with the names of YOLACT's checkpoints.

Source: dbolya/yolact `backbone.py: DarkNetBackbone`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from seg_node.models.layers.backbones import count_numbered


@dataclass(frozen=True)
class DarkNetSpec:
    """Widths and depths of a DarkNet.

    stem_channels: width of the first convolution. out_channels, blocks: width and depth of each stage.
    """

    stem_channels: int
    out_channels: tuple[int, ...]
    blocks: tuple[int, ...]


def read_darknet_spec(tensors: Mapping[str, Tensor], prefix: str) -> DarkNetSpec:
    """Derive the spec from tensors named `prefix` + _preconv.0.weight, layers.0.0.0.weight, …

    Raises KeyError with the name of a tensor that should be there.
    """
    stages = [f"{prefix}layers.{i}." for i in range(count_numbered(tensors, f"{prefix}layers."))]
    return DarkNetSpec(
        stem_channels=tensors[f"{prefix}_preconv.0.weight"].shape[0],
        out_channels=tuple(tensors[f"{stage}0.0.weight"].shape[0] for stage in stages),
        blocks=tuple(count_numbered(tensors, stage) - 1 for stage in stages),
    )


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.1, inplace=True),
    )


class DarkNetBlock(nn.Module):
    """Residual block: 1x1 to half the width, 3x3 back; the input is added after the activation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels // 2, 1)
        self.conv2 = _conv(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x)) + x


class DarkNet(nn.Module):
    """Image (N, 3, H, W) → the stages' outputs, of stride 2, 4, 8, 16, 32."""

    def __init__(self, spec: DarkNetSpec) -> None:
        super().__init__()
        self._preconv = _conv(3, spec.stem_channels, 3)
        in_channels = spec.stem_channels
        self.layers = nn.ModuleList()
        for channels, count in zip(spec.out_channels, spec.blocks, strict=True):
            blocks = (DarkNetBlock(channels) for _ in range(count))
            self.layers.append(nn.Sequential(_conv(in_channels, channels, 3, stride=2), *blocks))
            in_channels = channels

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self._preconv(x)
        features = []
        for stage in self.layers:
            x = stage(x)
            features.append(x)
        return features
