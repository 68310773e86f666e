# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0: a light ImageNet backbone without squeeze-and-excitation, with ReLU6.

Sources: Tan and Le 2019 (EfficientNet); Google's `efficientnet/lite` of tensorflow/tpu (the Lite variants,
their "same" padding, batch norm epsilon and input scale).
"""

from torch import Tensor, nn

# blocks, kernel, stride of the first block, expansion, width
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
_LAST_OF_STRIDE = (2, 4, 10, 15)  # index of the last block of stride 4, 8, 16, 32
OUT_CHANNELS = (24, 40, 112, 320)
BATCH_NORM_EPS = 1e-3


def _conv(
    in_channels: int, out_channels: int, kernel: int, stride: int, groups: int, norm: bool, relu: bool = True
) -> nn.Sequential:
    """Build padding (if needed), convolution, batch norm and ReLU6 (if wanted).

    At stride 2, TensorFlow pads an even size by one pixel more at the right and bottom than at the left
    and top.
    """
    before, after = (kernel - stride) // 2, (kernel - 1) // 2
    layers = nn.Sequential()
    if before != after:
        layers.add_module("pad", nn.ZeroPad2d((before, after, before, after)))
    padding = 0 if before != after else after
    layers.add_module(
        "conv",
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=not norm),
    )
    if norm:
        layers.add_module("bn", nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPS))
    if relu:
        layers.add_module("relu", nn.ReLU6(inplace=True))
    return layers


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1 (Sandler et al. 2018)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int, norm: bool
    ) -> None:
        super().__init__()
        mid = in_channels * expansion
        self.expand = _conv(in_channels, mid, 1, 1, 1, norm) if expansion > 1 else nn.Identity()
        self.depthwise = _conv(mid, mid, kernel, stride, mid, norm)
        self.project = _conv(mid, out_channels, 1, 1, 1, norm, relu=False)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Image (N, 3, H, W), H and W multiples of 32 → maps of stride 4, 8, 16, 32 and OUT_CHANNELS.

    norm: batch norms after the convolutions; False for weights with folded norms.
    """

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.stem = _conv(3, _STEM, 3, 2, 1, norm)
        blocks, channels = [], _STEM
        for count, kernel, stride, expansion, width in _STAGES:
            for i in range(count):
                blocks.append(
                    InvertedResidual(channels, width, kernel, stride if i == 0 else 1, expansion, norm)
                )
                channels = width
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _LAST_OF_STRIDE:
                features.append(x)
        return features
