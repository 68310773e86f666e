# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Small YOLACT checkpoints under the reference's names, with random but lively weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from seg_node.models.files.checkpoint import Checkpoint
from seg_node.models.yolact.checkpoint import load_yolact
from seg_node.models.yolact.model import YolactModel

SCALES, SIZE = [[6], [12], [24], [48], [96]], 138
WIDTHS, FPN = (16, 32, 48, 64), 16


class Weights(dict[str, Tensor]):
    """A state dict that grows by layers."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = torch.Generator().manual_seed(seed)

    def conv(self, name: str, outputs: int, inputs: int, kernel: int, bias: bool = True) -> None:
        deviation = (2 / (inputs * kernel**2)) ** 0.5
        self[f"{name}.weight"] = (
            torch.randn(outputs, inputs, kernel, kernel, generator=self.random) * deviation
        )
        if bias:
            self[f"{name}.bias"] = self.uniform(outputs, -0.2, 0.2)

    def norm(self, name: str, channels: int) -> None:
        self[f"{name}.weight"] = self.uniform(channels, 0.5, 1)
        self[f"{name}.bias"] = self.uniform(channels, -0.2, 0.2)
        self[f"{name}.running_mean"] = self.uniform(channels, -0.2, 0.2)
        self[f"{name}.running_var"] = self.uniform(channels, 0.5, 2)
        self[f"{name}.num_batches_tracked"] = torch.tensor(1)

    def uniform(self, count: int, low: float, high: float) -> Tensor:
        return torch.rand(count, generator=self.random) * (high - low) + low


def resnet(weights: Weights, blocks: tuple[int, ...] = (1, 1, 2, 1)) -> tuple[int, ...]:
    """Adds a narrow ResNet; the widths of its stages."""
    inputs = 8
    weights.conv("backbone.conv1", inputs, 3, 7, bias=False)
    weights.norm("backbone.bn1", inputs)
    for stage, (width, count) in enumerate(zip(WIDTHS, blocks, strict=True)):
        for number in range(count):
            block, mid = f"backbone.layers.{stage}.{number}", width // 4
            shapes = ((mid, inputs, 1), (mid, mid, 3), (width, mid, 1))
            for i, (outputs, taken, kernel) in enumerate(shapes, start=1):
                weights.conv(f"{block}.conv{i}", outputs, taken, kernel, bias=False)
                weights.norm(f"{block}.bn{i}", outputs)
            if number == 0:
                weights.conv(f"{block}.downsample.0", width, inputs, 1, bias=False)
                weights.norm(f"{block}.downsample.1", width)
            inputs = width
    return WIDTHS


def darknet(weights: Weights, blocks: tuple[int, ...] = (1, 1, 2, 1, 1)) -> tuple[int, ...]:
    """Adds a narrow DarkNet; the widths of its stages."""
    inputs, widths = 8, (8, *WIDTHS)
    weights.conv("backbone._preconv.0", inputs, 3, 3, bias=False)
    weights.norm("backbone._preconv.1", inputs)
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        layers = [(f"backbone.layers.{stage}.0", width, inputs, 3)]
        for number in range(1, count + 1):
            block = f"backbone.layers.{stage}.{number}"
            layers += [(f"{block}.conv1", width // 2, width, 1), (f"{block}.conv2", width, width // 2, 3)]
        for name, outputs, taken, kernel in layers:
            weights.conv(f"{name}.0", outputs, taken, kernel, bias=False)
            weights.norm(f"{name}.1", outputs)
        inputs = width
    return widths


def add_heads(weights: Weights, stages: tuple[int, ...], num_classes: int = 81, priors: int = 3) -> None:
    """Adds what is above the backbone."""
    for i, width in enumerate(reversed(stages[-3:])):
        weights.conv(f"fpn.lat_layers.{i}", FPN, width, 1)
        weights.conv(f"fpn.pred_layers.{i}", FPN, FPN, 3)
    for i in range(2):
        weights.conv(f"fpn.downsample_layers.{i}", FPN, FPN, 3)
    for number in (0, 2, 4, 8):
        weights.conv(f"proto_net.{number}", FPN, FPN, 3)
    weights.conv("proto_net.10", 8, FPN, 1)
    head = "prediction_layers.0"
    weights.conv(f"{head}.upfeature.0", FPN, FPN, 3)
    weights.conv(f"{head}.bbox_layer", priors * 4, FPN, 3)
    weights.conv(f"{head}.conf_layer", priors * num_classes, FPN, 3)
    weights[f"{head}.conf_layer.weight"] *= 1.5  # classes that are sure of themselves
    weights.conv(f"{head}.mask_layer", priors * 8, FPN, 3)
    weights.conv("semantic_seg_conv", num_classes - 1, FPN, 1)


def make_plus(weights: Weights, num_classes: int = 81) -> None:
    """Turns a ResNet's YOLACT with 9 priors a cell into a YOLACT++: deformable last stage, mask rescoring."""
    block = "backbone.layers.3.0.conv2"
    outputs, inputs = weights[f"{block}.weight"].shape[:2]
    weights[f"{block}.bias"] = weights.uniform(outputs, -0.2, 0.2)
    weights.conv(f"{block}.conv_offset_mask", 27, inputs, 3)
    for number, (width, taken, kernel) in enumerate(((4, 1, 3), (8, 4, 3), (num_classes - 1, 8, 1))):
        weights.conv(f"maskiou_net.maskiou_net.{number * 2}", width, taken, kernel)
    weights["maskiou_net.maskiou_net.4.weight"] *= 0.2  # most qualities below 1


def write_thin_checkpoint(folder: Path, num_classes: int = 81, seed: int = 1) -> tuple[Path, Path]:
    """A state dict as YOLACT saves it, and a config: small enough for a busy machine."""
    weights = Weights(seed)
    add_heads(weights, resnet(weights), num_classes)
    torch.save(dict(weights), folder / "yolact_thin_1_100.pth")
    config = {"max_size": SIZE, "backbone": {"pred_scales": SCALES}}
    (folder / "yolact_thin.yaml").write_text(yaml.safe_dump(config))
    return folder / "yolact_thin_1_100.pth", folder / "yolact_thin.yaml"


def load(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any] = {}, name: str = "yolact.pth"
) -> YolactModel:
    return load_yolact(Checkpoint(Path(name), tensors), config, "yolact.yaml")


def thin(num_classes: int = 81, **config: Any) -> YolactModel:
    weights = Weights(1)
    add_heads(weights, resnet(weights), num_classes)
    return load(weights, {"max_size": SIZE, **config})
