# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""ResNet and feature pyramid, shared by the families.

Module names are torchvision's, so its checkpoints load without renaming.
Sources: He et al. 2015 (ResNet), Xie et al. 2016 (ResNeXt), Lin et al. 2016 (FPN).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

NormLayer = Callable[[int], nn.Module]

_MAX_LAYERS = 200  # in a row; ResNet-152 has 36 blocks in a stage


@dataclass(frozen=True)
class ResNetSpec:
    """The numbers in which ResNets differ.

    stem_channels: width of the 7x7 convolution.
    blocks: residual blocks of each stage.
    mid_channels, out_channels: inner and outer width of each stage (equal for basic blocks).
    groups: of the 3x3 convolution (ResNeXt: 32 or 64).
    bottleneck: 1x1, 3x3, 1x1 blocks; else two 3x3 (ResNet-18 and -34).
    stride_in_1x1: where a bottleneck halves the resolution: MSRA's models in the first 1x1, torchvision's
    in the 3x3. It cannot be derived from the weights.
    """

    stem_channels: int
    blocks: tuple[int, ...]
    mid_channels: tuple[int, ...]
    out_channels: tuple[int, ...]
    groups: int = 1
    bottleneck: bool = True
    stride_in_1x1: bool = False


def read_resnet_spec(tensors: Mapping[str, Tensor], prefix: str, stride_in_1x1: bool = False) -> ResNetSpec:
    """Derive the spec of the ResNet whose tensors are named `prefix` + conv1.weight, layer1.0.conv1.weight, …

    Raises KeyError with the name of a tensor that should be there.
    """
    last = "conv3" if f"{prefix}layer1.0.conv3.weight" in tensors else "conv2"
    stages = [f"{prefix}layer{stage}." for stage in (1, 2, 3, 4)]
    mid = tuple(tensors[f"{stage}0.conv1.weight"].shape[0] for stage in stages)
    return ResNetSpec(
        stem_channels=tensors[f"{prefix}conv1.weight"].shape[0],
        blocks=tuple(count_numbered(tensors, stage) for stage in stages),
        mid_channels=mid,
        out_channels=tuple(tensors[f"{stage}0.{last}.weight"].shape[0] for stage in stages),
        groups=mid[0] // tensors[f"{stages[0]}0.conv2.weight"].shape[1],
        bottleneck=last == "conv3",
        stride_in_1x1=stride_in_1x1,
    )


_DEPTHS: Mapping[tuple[int, ...], int] = {
    (2, 2, 2, 2): 18,
    (3, 4, 6, 3): 50,
    (3, 4, 23, 3): 101,
    (3, 8, 36, 3): 152,
}


def check_resnet(spec: ResNetSpec, depth: int | None, groups: int | None, source: str) -> None:
    """Raise ValueError if a configuration describes another ResNet than the tensors.

    depth, groups: the configuration's; None if not set. source: names it in messages.
    """
    own_depth = _DEPTHS.get(spec.blocks, 0)
    own_depth = 34 if own_depth == 50 and not spec.bottleneck else own_depth
    for unit, configured, own in (("layers", depth, own_depth), ("groups", groups, spec.groups)):
        if configured is not None and own and configured != own:
            raise ValueError(
                f"{source} describes a ResNet of {configured} {unit}, but the weights are of one of {own}: "
                "it is the configuration of another model"
            )


def count_numbered(names: Iterable[str], prefix: str) -> int:
    """Count the different numbers after the prefix. Raises ValueError for more than a network has layers."""
    count = len({name[len(prefix) :].split(".", 1)[0] for name in names if name.startswith(prefix)})
    if count > _MAX_LAYERS:
        raise ValueError(f"{count} layers are named {prefix}…, of at most {_MAX_LAYERS}")
    return count


class Block(nn.Module):
    """Residual block, basic or bottleneck. Its layers are registered in the order in which they run."""

    def __init__(self, in_channels: int, stage: int, stride: int, spec: ResNetSpec, norm: NormLayer) -> None:
        super().__init__()
        mid, out = spec.mid_channels[stage], spec.out_channels[stage]
        if spec.bottleneck:
            stride_1, stride_2 = (stride, 1) if spec.stride_in_1x1 else (1, stride)
            self.conv1 = nn.Conv2d(in_channels, mid, 1, stride_1, bias=False)
            self.bn1, self.relu1 = norm(mid), nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(mid, mid, 3, stride_2, 1, groups=spec.groups, bias=False)
            self.bn2, self.relu2 = norm(mid), nn.ReLU(inplace=True)
            self.conv3 = nn.Conv2d(mid, out, 1, bias=False)
            self.bn3 = norm(out)
        else:
            self.conv1 = nn.Conv2d(in_channels, mid, 3, stride, 1, bias=False)
            self.bn1, self.relu1 = norm(mid), nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(mid, out, 3, 1, 1, bias=False)
            self.bn2 = norm(out)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, out, 1, stride, bias=False), norm(out))
        self.bottleneck = spec.bottleneck

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.bottleneck:
            y = self.bn3(self.conv3(self.relu2(y)))
        y += shortcut
        return F.relu(y, inplace=True)


class ResNet(nn.Module):
    """Image (N, 3, H, W) → the stages' outputs, of stride 4, 8, 16, 32."""

    def __init__(self, spec: ResNetSpec, norm: NormLayer) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, spec.stem_channels, 7, 2, 3, bias=False)
        self.bn1, self.relu = norm(spec.stem_channels), nn.ReLU(inplace=True)
        in_channels = spec.stem_channels
        stages = []
        for stage, (count, out) in enumerate(zip(spec.blocks, spec.out_channels, strict=True)):
            first = Block(in_channels, stage, 1 if stage == 0 else 2, spec, norm)
            stages.append(nn.Sequential(first, *(Block(out, stage, 1, spec, norm) for _ in range(count - 1))))
            in_channels = out
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, 1)
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features


def conv_norm(
    in_channels: int, out_channels: int, kernel: int, norm: NormLayer | None, relu: bool = True
) -> nn.Sequential:
    """Build a convolution of stride 1 that keeps the size (index 0), its norm if any (1), ReLU last.

    The convolution has a bias only if no norm follows.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=norm is None)
    ]
    if norm is not None:
        layers.append(norm(out_channels))
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class FeaturePyramid(nn.Module):
    """Backbone stages (fine to coarse) → as many maps of equal width, and one of twice the last's stride."""

    def __init__(self, in_channels: Sequence[int], out_channels: int, norm: NormLayer | None) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(
            conv_norm(channels, out_channels, 1, norm, relu=False) for channels in in_channels
        )
        self.layer_blocks = nn.ModuleList(
            conv_norm(out_channels, out_channels, 3, norm, relu=False) for _ in in_channels
        )

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        laterals = [block(stage) for block, stage in zip(self.inner_blocks, stages, strict=True)]
        for fine, coarse in zip(laterals[-2::-1], laterals[:0:-1], strict=True):
            fine += F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
        outputs = [block(lateral) for block, lateral in zip(self.layer_blocks, laterals, strict=True)]
        return [*outputs, F.max_pool2d(outputs[-1], kernel_size=1, stride=2)]
