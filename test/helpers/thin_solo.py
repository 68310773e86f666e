# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Small SOLOs with the names of WXinlong/SOLO, and random but lively weights."""

import math
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import yaml
from torch import Tensor

from seg_node.models.files.checkpoint import Checkpoint
from seg_node.models.solo.checkpoint import load_solo
from seg_node.models.solo.model import SoloModel

Kind = Literal["solo", "decoupled", "decoupled_light", "solov2"]
KINDS = get_args(Kind)

GRIDS = (12, 10, 8, 6, 4)
CLASSES = 80
WIDTH = 32  # the narrowest that group norm takes


class Weights(dict[str, Tensor]):
    """A state dict in the making."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = torch.Generator().manual_seed(seed)

    def uniform(self, name: str, count: int, low: float, high: float) -> None:
        self[name] = torch.empty(count).uniform_(low, high, generator=self.random)

    def conv(self, name: str, inputs: int, outputs: int, kernel: int, bias: bool = True) -> None:
        spread = math.sqrt(2 / (inputs * kernel**2))
        self[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=self.random) * spread
        if bias:
            self.uniform(f"{name}.bias", outputs, -0.2, 0.2)

    def batch_norm(self, name: str, channels: int) -> None:
        self.uniform(f"{name}.weight", channels, 0.5, 1)
        self.uniform(f"{name}.bias", channels, -0.2, 0.2)
        self.uniform(f"{name}.running_mean", channels, -0.2, 0.2)
        self.uniform(f"{name}.running_var", channels, 0.5, 2)

    def unit(self, name: str, inputs: int, outputs: int, kernel: int = 3) -> None:
        """Convolution and group norm."""
        self.conv(f"{name}.conv", inputs, outputs, kernel, bias=False)
        self.uniform(f"{name}.gn.weight", outputs, 0.5, 1.5)
        self.uniform(f"{name}.gn.bias", outputs, -0.2, 0.2)


def thin_tensors(kind: Kind = "solov2", seed: int = 1) -> dict[str, Tensor]:
    """A ResNet-18, a pyramid and the head, all of them narrow."""
    weights = Weights(seed)
    _add_backbone(weights)
    for tower, inputs in {
        "solo": {"ins_convs": WIDTH + 2},
        "decoupled": {"ins_convs_x": WIDTH + 1, "ins_convs_y": WIDTH + 1},
        "decoupled_light": {"ins_convs": WIDTH + 2},
        "solov2": {"kernel_convs": WIDTH + 2},
    }[kind].items():
        weights.unit(f"bbox_head.{tower}.0", inputs, WIDTH)
        weights.unit(f"bbox_head.{tower}.1", WIDTH, WIDTH)
    weights.unit("bbox_head.cate_convs.0", WIDTH, WIDTH)
    weights.unit("bbox_head.cate_convs.1", WIDTH, WIDTH)
    category = "dsolo_cate" if "decoupled" in kind else "solo_cate"
    weights.conv(f"bbox_head.{category}", WIDTH, CLASSES, 3)
    weights[f"bbox_head.{category}.weight"] *= 2.5
    weights[f"bbox_head.{category}.bias"] -= 9  # so that a few cells see something, and are sure of it
    if kind == "solov2":
        weights.conv("bbox_head.solo_kernel", WIDTH, WIDTH, 3)
        _add_mask_features(weights)
    elif kind == "solo":
        for level, grid in enumerate(GRIDS):
            weights.conv(f"bbox_head.solo_ins_list.{level}", WIDTH, grid**2, 1)
    else:
        for level, grid in enumerate(GRIDS):
            for axis in "xy":
                kernel = 3 if kind == "decoupled_light" else 1
                weights.conv(f"bbox_head.dsolo_ins_list_{axis}.{level}", WIDTH, grid, kernel)
                weights[f"bbox_head.dsolo_ins_list_{axis}.{level}.bias"] += 1  # of which masks are products
    return dict(weights)


def _add_backbone(weights: Weights) -> None:
    widths = (4, 8, 16, 32)
    weights.conv("backbone.conv1", 3, widths[0], 7, bias=False)
    weights.batch_norm("backbone.bn1", widths[0])
    inputs = widths[0]
    for stage, width in enumerate(widths):
        for block in range(2):
            name = f"backbone.layer{stage + 1}.{block}"
            weights.conv(f"{name}.conv1", inputs, width, 3, bias=False)
            weights.batch_norm(f"{name}.bn1", width)
            weights.conv(f"{name}.conv2", width, width, 3, bias=False)
            weights.batch_norm(f"{name}.bn2", width)
            if inputs != width:
                weights.conv(f"{name}.downsample.0", inputs, width, 1, bias=False)
                weights.batch_norm(f"{name}.downsample.1", width)
            inputs = width
        weights.conv(f"neck.lateral_convs.{stage}.conv", width, WIDTH, 1)
        weights.conv(f"neck.fpn_convs.{stage}.conv", WIDTH, WIDTH, 3)


def _add_mask_features(weights: Weights) -> None:
    for level in range(4):
        for conv in range(max(level, 1)):
            inputs = WIDTH + 2 if (level, conv) == (3, 0) else WIDTH
            weights.unit(f"mask_feat_head.convs_all_levels.{level}.conv{conv}", inputs, WIDTH)
    weights.unit("mask_feat_head.conv_pred.0", WIDTH, WIDTH, 1)


def thin_config(**test_cfg: Any) -> dict[str, Any]:
    """The settings of `thin_tensors` as WXinlong/SOLO writes them, for a busy machine."""
    return {
        "model": {"bbox_head": {"num_classes": CLASSES + 1, "num_grids": list(GRIDS)}},
        "test_cfg": {"score_thr": 0.1, "update_thr": 0.05, "max_per_img": 30, **test_cfg},
        "test_pipeline": [{"type": "MultiScaleFlipAug", "img_scale": [256, 128], "flip": False}],
    }


def write_thin_checkpoint(folder: Path, kind: Kind = "solov2", seed: int = 1) -> tuple[Path, Path]:
    """A checkpoint as mmdetection saves it, and its config."""
    torch.save({"state_dict": thin_tensors(kind, seed), "meta": {"CLASSES": None}}, folder / "thin_solo.pth")
    (folder / "thin_solo.yaml").write_text(yaml.safe_dump(thin_config()))
    return folder / "thin_solo.pth", folder / "thin_solo.yaml"


def thin(kind: Kind = "solov2", seed: int = 1) -> SoloModel:
    return load_solo(Checkpoint(Path("solo.pth"), thin_tensors(kind, seed)), thin_config(), "solo.py")
