# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SOLO and its kin once more, plainly: every map of every cell, loops, straight from a state dict.

For the networks and with the thresholds of `thin_solo`.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from thin_solo import GRIDS, Kind
from torch import Tensor

STRIDES = (8, 8, 16, 32, 32)


def plain_solo(
    tensors: Mapping[str, Tensor], kind: Kind, pixels: Tensor, size: tuple[int, int], image: tuple[int, int]
) -> list[tuple[float, int, np.ndarray]]:
    """Score, class, mask: straight from a state dict of WXinlong/SOLO, all maps of all cells, plain loops."""
    pyramid = plain_pyramid(tensors, pixels)
    probs, masks = plain_heads(tensors, kind, pyramid)
    found = []  # score, class, soft mask
    for stride, level_probs, level_masks in zip(STRIDES, probs, masks, strict=True):
        grid = level_probs.shape[-1]
        for row, column, class_id in np.ndindex(grid, grid, level_probs.shape[1]):
            score = float(level_probs[0, class_id, row, column])
            near = level_probs[0, class_id, max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1]
            if score <= 0.1 or score < float(near.max()):
                continue
            soft = level_masks[row * grid + column]
            if int((soft > 0.5).sum()) > stride:
                found.append((score * float(soft[soft > 0.5].mean()), class_id, soft))
    found.sort(key=lambda item: -item[0])
    lowered = []
    for j, (score, class_id, soft) in enumerate(found):
        factors = [np.exp(-2 * plain_iou(found, i, j) ** 2 + 2 * worst(found, i) ** 2) for i in range(j)]
        lowered.append((score * min([1.0, *factors]), class_id, soft))
    lowered = sorted((item for item in lowered if item[0] >= 0.05), key=lambda item: -item[0])[:30]
    return [(score, class_id, plain_place(soft, size, image)) for score, class_id, soft in lowered]


def plain_iou(found: list[tuple[float, int, Tensor]], i: int, j: int) -> float:
    """0 for masks of different classes."""
    (_, class_i, soft_i), (_, class_j, soft_j) = found[i], found[j]
    if class_i != class_j:
        return 0.0
    a, b = soft_i > 0.5, soft_j > 0.5
    return float((a & b).sum()) / float((a | b).sum())


def worst(found: list[tuple[float, int, Tensor]], i: int) -> float:
    return max((plain_iou(found, k, i) for k in range(i)), default=0.0)


def plain_place(soft: Tensor, size: tuple[int, int], image: tuple[int, int]) -> np.ndarray:
    enlarged = F.interpolate(soft[None, None], scale_factor=4, mode="bilinear")[..., : size[0], : size[1]]
    return (F.interpolate(enlarged, size=image, mode="bilinear")[0, 0] > 0.5).numpy()


def plain_pyramid(tensors: Mapping[str, Tensor], pixels: Tensor) -> list[Tensor]:
    """ResNet-18 and feature pyramid."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = tensors[f"{name}.weight"]
        return F.conv2d(x, weight, tensors.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            tensors[f"{name}.{key}"][:, None, None]
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    x = F.max_pool2d(norm(conv(pixels, "backbone.conv1", 2), "backbone.bn1").relu(), 3, 2, 1)
    laterals = []
    for stage in range(4):
        for block in range(2):
            name = f"backbone.layer{stage + 1}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            y = norm(conv(x, f"{name}.conv1", stride), f"{name}.bn1").relu()
            y = norm(conv(y, f"{name}.conv2"), f"{name}.bn2")
            if f"{name}.downsample.0.weight" in tensors:
                x = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = (x + y).relu()
        laterals.append(conv(x, f"neck.lateral_convs.{stage}.conv"))
    for stage in (2, 1, 0):
        laterals[stage] = laterals[stage] + laterals[stage + 1].repeat_interleave(2, 2).repeat_interleave(
            2, 3
        )
    outputs = [conv(x, f"neck.fpn_convs.{stage}.conv") for stage, x in enumerate(laterals)]
    return [*outputs, outputs[-1][:, :, ::2, ::2]]


def plain_heads(
    tensors: Mapping[str, Tensor], kind: Kind, pyramid: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Of each level: class probabilities (1, classes, S, S), masks (S², h, w) in their common size."""
    p2, p3, p4, p5, p6 = pyramid
    levels = [F.avg_pool2d(p2, 2), p3, p4, p5, F.interpolate(p6, size=p5.shape[-2:], mode="bilinear")]
    probs, masks = [], []
    size = p2.shape[-2:]
    features = plain_mask_features(tensors, pyramid) if kind == "solov2" else p2
    category = "dsolo_cate" if "decoupled" in kind else "solo_cate"
    for level, (x, grid) in enumerate(zip(levels, GRIDS, strict=True)):
        cells = F.interpolate(x, size=(grid, grid), mode="bilinear")
        cells = plain_tower(tensors, "cate_convs", cells)
        probs.append(plain_conv(tensors, f"bbox_head.{category}", cells).sigmoid())
        if kind == "solov2":
            cells = F.interpolate(plain_coordinates(x, "xy"), size=(grid, grid), mode="bilinear")
            kernels = plain_conv(
                tensors, "bbox_head.solo_kernel", plain_tower(tensors, "kernel_convs", cells)
            )
            masks.append(torch.einsum("ep,ehw->phw", kernels[0].flatten(1), features[0]).sigmoid())
            continue
        maps = {}
        for axis, name in {"solo": {"": ""}}.get(kind, {"x": "_x", "y": "_y"}).items():
            tower = "ins_convs" + (name if kind == "decoupled" else "")
            y = plain_tower(tensors, tower, plain_coordinates(x, axis if kind == "decoupled" else "xy"))
            y = F.interpolate(y, scale_factor=2, mode="bilinear")
            last = f"bbox_head.{'d' if name else ''}solo_ins_list{name}.{level}"
            maps[axis] = F.interpolate(plain_conv(tensors, last, y).sigmoid(), size=size, mode="bilinear")[0]
        if kind == "solo":
            masks.append(maps[""])
        else:
            masks.append((maps["y"][:, None] * maps["x"][None]).flatten(0, 1))
    return probs, masks


def plain_mask_features(tensors: Mapping[str, Tensor], pyramid: list[Tensor]) -> Tensor:
    total = torch.zeros(())
    for level, x in enumerate([*pyramid[:3], plain_coordinates(pyramid[3], "xy")]):
        for conv in range(max(level, 1)):
            x = plain_unit(tensors, f"mask_feat_head.convs_all_levels.{level}.conv{conv}", x)
            x = F.interpolate(x, scale_factor=2, mode="bilinear") if level else x
        total = total + x
    return plain_unit(tensors, "mask_feat_head.conv_pred.0", total)


def plain_coordinates(x: Tensor, axes: str) -> Tensor:
    rows, columns = x.shape[-2:]
    maps = {
        "x": (torch.arange(columns) / (columns - 1) * 2 - 1).expand(rows, columns),
        "y": (torch.arange(rows) / (rows - 1) * 2 - 1)[:, None].expand(rows, columns),
    }
    return torch.cat([x, *(maps[axis][None, None] for axis in axes)], dim=1)


def plain_tower(tensors: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    for i in range(2):
        x = plain_unit(tensors, f"bbox_head.{name}.{i}", x)
    return x


def plain_unit(tensors: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Convolution; group norm with a group for each of 32 channels; ReLU."""
    x = plain_conv(tensors, f"{name}.conv", x)
    x = (x - x.mean((2, 3), True)) / (x.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    scale, shift = (tensors[f"{name}.gn.{key}"][:, None, None] for key in ("weight", "bias"))
    return (x * scale + shift).relu()


def plain_conv(tensors: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    weight = tensors[f"{name}.weight"]
    return F.conv2d(x, weight, tensors.get(f"{name}.bias"), padding=weight.shape[-1] // 2)
