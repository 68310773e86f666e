# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN checkpoints with torchvision's names: `maskrcnn_resnet50_fpn`, `_v2`, and fine-tuned models.

All widths, depths and the class count come from the tensors. The names of torchvision before and since 0.14
are both recognised.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from seg_node.labels import one_based_labels
from seg_node.models.files.checkpoint import Checkpoint, load_network, outline
from seg_node.models.layers.backbones import NormLayer, ResNet, read_resnet_spec
from seg_node.models.layers.efficientnet_lite import OUT_CHANNELS, EfficientNetLite0
from seg_node.models.rcnn.model import RCNNModel
from seg_node.models.rcnn.network import MaskRCNN, build_mask_rcnn, mask_rcnn_r50_fpn
from seg_node.models.rcnn.semantic_head import build_semantic_head
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.models.rcnn.spec import read_rcnn_spec
from seg_node.models.rcnn.torchvision_config import read_rcnn_config
from seg_node.types import LabelSet

_METADATA_KEY = "config"
_MASK_PREDICTOR = "roi_heads.mask_predictor.conv5_mask.weight"

# torchvision before 0.14 → since
_OLD_SPELLINGS = (
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2"),
    (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
    (r"^roi_heads\.box_head\.fc6\.", "roi_heads.box_head.1."),
    (r"^roi_heads\.box_head\.fc7\.", "roi_heads.box_head.3."),
    *((rf"^roi_heads\.mask_head\.mask_fcn{i + 1}\.", f"roi_heads.mask_head.{i}.0.") for i in range(4)),
)
# torchvision → modules of the network
_PREFIXES = {
    "backbone.body.": "backbone.",
    "backbone.fpn.": "fpn.",
    "rpn.head.": "rpn.",
    "roi_heads.box_head.": "box_head.layers.",
    "roi_heads.box_predictor.": "box_head.",
    "roi_heads.mask_head.": "mask_head.convs.",
    "roi_heads.mask_predictor.": "mask_head.",
}
_SEMANTIC = "semantic_head."  # torchvision has none, so the names are the network's


def to_network_name(name: str) -> str:
    """Return the network's name of torchvision's tensor `name`."""
    for pattern, replacement in _OLD_SPELLINGS:
        name = re.sub(pattern, replacement, name)
    for stored, module in _PREFIXES.items():
        if name.startswith(stored):
            return module + name[len(stored) :]
    return name


def to_checkpoint_name(name: str) -> str:
    """Return torchvision's name (since 0.14) of the network's tensor `name`."""
    for stored, module in _PREFIXES.items():
        if name.startswith(module):
            return stored + name[len(module) :]
    return name


def is_torchvision_rcnn(checkpoint: Checkpoint) -> bool:
    """Whether these are a torchvision Mask R-CNN's tensors."""
    return {"backbone.body.conv1.weight", _MASK_PREDICTOR} <= checkpoint.tensors.keys()


def is_embedded(checkpoint: Checkpoint) -> bool:
    """Whether seg_node's training wrote the file: torchvision's names, its configuration in the metadata."""
    return _MASK_PREDICTOR in checkpoint.tensors and _METADATA_KEY in checkpoint.metadata


def load_torchvision(
    checkpoint: Checkpoint, config: Mapping[str, Any], source: str, labels: LabelSet | None = None
) -> RCNNModel:
    """Load a checkpoint's model; `config` overrides the configuration in the metadata.

    source: names `config` in errors. labels: the user's class names.
    Raises ValueError that names the file, and the tensor or key that does not fit.
    """
    carried = read_rcnn_config(_read_metadata(checkpoint), str(checkpoint.path))
    merged = read_rcnn_config(config, source, carried)
    network = load_torchvision_rcnn(checkpoint, merged.settings, merged.frozen_bn_eps)
    num_classes = network.box_head.cls_score.out_features
    if merged.num_classes not in (None, num_classes):
        raise ValueError(f"{checkpoint.path}: {num_classes} classes, but {source} says {merged.num_classes}")
    try:
        names = one_based_labels(
            num_classes, merged.class_names, labels, _stuff_names(network, merged.stuff_names)
        )
    except ValueError as error:
        raise ValueError(f"{checkpoint.path}: {error}") from error
    return RCNNModel(network, names, merged.input_spec, merged.options)


def _stuff_names(network: MaskRCNN, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names, or class numbers if there are none. Raises ValueError if their number differs."""
    stuff = network.semantic_head.predictor.out_channels - 1 if network.semantic_head else 0
    if names and len(names) != stuff:
        raise ValueError(f"{len(names)} stuff names for {stuff} classes of stuff")
    first = network.box_head.cls_score.out_features
    return names or tuple(str(class_id) for class_id in range(first, first + stuff))


def _read_metadata(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Read the JSON configuration that seg_node's training writes into its files."""
    if not is_embedded(checkpoint):
        return {}
    try:
        return dict(json.loads(checkpoint.metadata[_METADATA_KEY]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{checkpoint.path}: its metadata {_METADATA_KEY!r} is damaged: {error}") from error


def load_torchvision_rcnn(
    checkpoint: Checkpoint, settings: RCNNSettings, frozen_bn_eps: float = 0.0
) -> MaskRCNN:
    """Load the checkpoint's network.

    frozen_bn_eps: added to the variances of batch norms that were frozen in training (those saved without
    `num_batches_tracked`). 0 for the published COCO weights and models fine-tuned from them; 1e-5 for a
    model trained from ImageNet weights only (torchvision `_utils.py: overwrite_eps`).
    Raises ValueError that names the file, the tensor and the shape it should have.
    """
    tensors = {to_network_name(name): tensor for name, tensor in checkpoint.tensors.items()}
    build = partial(_build_network, tensors, settings, frozen_bn_eps)
    try:
        outlined = outline(build)
    except KeyError as error:
        raise ValueError(f"{checkpoint.path}: {_describe_missing(error.args[0])}") from error
    except (ValueError, IndexError, ArithmeticError) as error:
        raise ValueError(f"{checkpoint.path}: not a Mask R-CNN of torchvision's kind: {error}") from error
    return load_network(build, outlined, tensors, to_checkpoint_name, checkpoint.path)


def _build_network(tensors: Mapping[str, Tensor], settings: RCNNSettings, frozen_bn_eps: float) -> MaskRCNN:
    """Build with random weights. tensors: by the network's names. Raises KeyError with a missing name."""
    backbone, stage_channels = _build_backbone(tensors, frozen_bn_eps)
    spec = read_rcnn_spec(
        tensors, stage_channels, lambda prefix: _norm_or_none(tensors, prefix, frozen_bn_eps)
    )
    semantic = None
    if f"{_SEMANTIC}predictor.weight" in tensors:
        semantic = build_semantic_head(tensors, _SEMANTIC, None)
    return build_mask_rcnn(backbone, spec, settings, semantic)


def _describe_missing(name: str) -> str:
    with torch.device("meta"):
        published = mask_rcnn_r50_fpn().state_dict()
    shape = (
        f"; in maskrcnn_resnet50_fpn its shape is {tuple(published[name].shape)}" if name in published else ""
    )
    return f"{to_checkpoint_name(name)} is missing{shape}"


def _build_backbone(tensors: Mapping[str, Tensor], frozen_bn_eps: float) -> tuple[nn.Module, tuple[int, ...]]:
    """Build the backbone; return it with the widths of its outputs."""
    if "backbone.stem.conv.weight" in tensors:
        return EfficientNetLite0(norm="backbone.stem.bn.weight" in tensors), OUT_CHANNELS
    spec = read_resnet_spec(tensors, "backbone.")
    return ResNet(spec, _norm(tensors, "backbone.bn1", frozen_bn_eps)), spec.out_channels


def _norm_or_none(tensors: Mapping[str, Tensor], prefix: str, frozen_bn_eps: float) -> NormLayer | None:
    return _norm(tensors, prefix, frozen_bn_eps) if f"{prefix}.running_var" in tensors else None


def _norm(tensors: Mapping[str, Tensor], prefix: str, frozen_bn_eps: float) -> NormLayer:
    if f"{prefix}.num_batches_tracked" in tensors:
        return nn.BatchNorm2d
    return partial(FrozenBatchNorm2d, eps=frozen_bn_eps)
