# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of a Mask R-CNN above its backbone, derived from a checkpoint's tensors."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from seg_node.models.layers.backbones import NormLayer, count_numbered

_BOX_FC = re.compile(r"box_head\.layers\.(\d+)\.weight")


@dataclass(frozen=True)
class RCNNSpec:
    """Widths, depths and norms above the backbone.

    stage_channels: the backbone's outputs, fine to coarse. num_classes includes the background.
    box_classes, mask_classes: number of classes with box deltas and masks; 1: shared by all.
    *_norm: None if convolutions have a bias instead.
    """

    stage_channels: tuple[int, ...]
    fpn_channels: int
    rpn_convs: int
    box_convs: tuple[int, ...]
    box_fcs: tuple[int, ...]
    mask_convs: tuple[int, ...]
    mask_deconv: int
    num_classes: int
    box_classes: int
    mask_classes: int
    fpn_norm: NormLayer | None = None
    box_norm: NormLayer | None = None
    mask_norm: NormLayer | None = None


def read_rcnn_spec(
    tensors: Mapping[str, Tensor],
    stage_channels: tuple[int, ...],
    read_norm: Callable[[str], NormLayer | None],
) -> RCNNSpec:
    """Derive the spec from tensors with the network's names.

    read_norm: returns the kind of norm whose tensors have a prefix, if any.
    Raises KeyError with the name of a tensor that should be there.
    """
    box_convs = count_numbered((name for name in tensors if tensors[name].ndim == 4), "box_head.layers.")
    mask_convs = _count_at_least_one(tensors, "mask_head.convs.")
    return RCNNSpec(
        stage_channels=stage_channels,
        fpn_channels=tensors["fpn.layer_blocks.0.0.weight"].shape[0],
        rpn_convs=_count_at_least_one(tensors, "rpn.conv."),
        box_convs=tuple(tensors[f"box_head.layers.{i}.0.weight"].shape[0] for i in range(box_convs)),
        box_fcs=_read_box_fcs(tensors),
        mask_convs=tuple(tensors[f"mask_head.convs.{i}.0.weight"].shape[0] for i in range(mask_convs)),
        mask_deconv=tensors["mask_head.conv5_mask.weight"].shape[1],
        num_classes=tensors["box_head.cls_score.weight"].shape[0],
        box_classes=tensors["box_head.bbox_pred.weight"].shape[0] // 4,
        mask_classes=tensors["mask_head.mask_fcn_logits.weight"].shape[0],
        fpn_norm=read_norm("fpn.layer_blocks.0.1"),
        box_norm=read_norm("box_head.layers.0.1"),
        mask_norm=read_norm("mask_head.convs.0.1"),
    )


def _read_box_fcs(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Read the widths of the fully connected layers, whose numbers skip layers without weights."""
    numbers = sorted(int(match[1]) for match in map(_BOX_FC.fullmatch, tensors) if match)
    return tuple(tensors[f"box_head.layers.{number}.weight"].shape[0] for number in numbers)


def _count_at_least_one(tensors: Mapping[str, Tensor], prefix: str) -> int:
    count = count_numbered(tensors, prefix)
    if count == 0:
        raise KeyError(f"{prefix}0.0.weight")
    return count
