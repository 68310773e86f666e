# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN and Panoptic FPN checkpoints of Detectron2: R50, R101, X101 with FPN, and models trained alike.

All widths, depths, norms and the class count come from the tensors, the rest from Detectron2's config.
"""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from seg_node.labels import zero_based_labels
from seg_node.models.files.checkpoint import Checkpoint, load_network, outline
from seg_node.models.layers.backbones import NormLayer, ResNet, check_resnet, count_numbered, read_resnet_spec
from seg_node.models.rcnn.detectron2_config import Detectron2Config, read_detectron2_config
from seg_node.models.rcnn.model import RCNNModel
from seg_node.models.rcnn.network import MaskRCNN, build_mask_rcnn
from seg_node.models.rcnn.semantic_head import SemanticHead, build_semantic_head
from seg_node.models.rcnn.spec import read_rcnn_spec
from seg_node.types import LabelSet

logger = logging.getLogger(__name__)

NamePairs = tuple[tuple[str, str], ...]

# not weights: older files also store these values of the config
_IGNORED = ("pixel_mean", "pixel_std", "proposal_generator.anchor_generator.cell_anchors.")
_NORM_GROUPS = 32  # of every group norm in Detectron2
_MAX_LAYERS = 8  # of one kind in a head


def is_detectron2(checkpoint: Checkpoint) -> bool:
    """Whether these are the tensors of a Mask R-CNN of Detectron2."""
    names = {"backbone.bottom_up.stem.conv1.weight", "roi_heads.mask_head.predictor.weight"}
    return names <= checkpoint.tensors.keys()


def load_detectron2(
    checkpoint: Checkpoint, content: Mapping[str, Any], source: str, labels: LabelSet | None = None
) -> RCNNModel:
    """Load a checkpoint's model, a Panoptic FPN if it has a semantic head.

    content: Detectron2's configuration, read from `source`; empty for that of the published models.
    labels: the user's class names.
    Raises ValueError that names the file, and the tensor or key that does not fit.
    """
    names = name_pairs(count_numbered(checkpoint.tensors, "roi_heads.box_head.conv"))
    tensors = {
        to_network_name(name, names): tensor
        for name, tensor in checkpoint.tensors.items()
        if not name.startswith(_IGNORED)
    }
    config = _read_config(content, source, _is_resnext(tensors), checkpoint.path)
    build = partial(_build_network, tensors, config)
    try:
        outlined = outline(build)
    except KeyError as error:
        raise ValueError(
            f"{checkpoint.path}: {to_checkpoint_name(error.args[0], names)} is missing"
        ) from error
    except (ValueError, IndexError, ArithmeticError) as error:
        raise ValueError(f"{checkpoint.path}: not a Mask R-CNN of Detectron2's kind: {error}") from error
    _check_architecture(tensors, config, source, checkpoint.path)
    network = load_network(
        build, outlined, tensors, lambda name: to_checkpoint_name(name, names), checkpoint.path
    )
    try:
        class_names = zero_based_labels(*_count_classes(network, config, source), given=labels)
    except ValueError as error:
        raise ValueError(f"{checkpoint.path}: {error}") from error
    return RCNNModel(network, class_names, config.input_spec, config.options)


def _read_config(content: Mapping[str, Any], source: str, is_resnext: bool, path: Path) -> Detectron2Config:
    """Read the configuration; without one, assume the published models' and log a warning."""
    config = read_detectron2_config(content, source, is_resnext)
    if not content:
        logger.warning(
            "%s: no config given; assuming that of Detectron2's %s models: STRIDE_IN_1X1 %s, PIXEL_STD %s",
            path,
            "ResNeXt" if is_resnext else "ResNet",
            config.stride_in_1x1,
            config.input_spec.std,
        )
    return config


def _is_resnext(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the 3x3 convolutions are in groups."""
    weight = tensors.get("backbone.layer1.0.conv2.weight")
    return weight is not None and weight.shape[1] < weight.shape[0]


def _check_architecture(
    tensors: Mapping[str, Tensor], config: Detectron2Config, source: str, path: Path
) -> None:
    """Raise ValueError if the config describes another model than the tensors."""
    check_resnet(read_resnet_spec(tensors, "backbone."), config.depth, config.groups, source)
    has_semantic_head = "semantic_head.predictor.weight" in tensors
    if config.meta_architecture == "PanopticFPN" and not has_semantic_head:
        raise ValueError(f"{source} describes a PanopticFPN, but the weights are of a Mask R-CNN")
    if config.meta_architecture != "PanopticFPN" and has_semantic_head and source != "None":
        logger.warning(
            "%s: has a semantic head, which %s does not describe: used with Detectron2's defaults",
            path,
            source,
        )


def _build_network(tensors: Mapping[str, Tensor], config: Detectron2Config) -> MaskRCNN:
    """Build with random weights. tensors: by the network's names. Raises KeyError with a missing name."""
    read_norm = partial(_read_norm, tensors)
    backbone_norm = read_norm("backbone.bn1")
    if backbone_norm is None:
        raise KeyError("backbone.bn1.weight")
    backbone_spec = read_resnet_spec(tensors, "backbone.", config.stride_in_1x1)
    semantic_head: SemanticHead | None = None
    if "semantic_head.predictor.weight" in tensors:
        norm = read_norm("semantic_head.levels.0.0.1")
        semantic_head = build_semantic_head(tensors, "semantic_head.", norm)
    backbone = ResNet(backbone_spec, backbone_norm)
    spec = read_rcnn_spec(tensors, backbone_spec.out_channels, read_norm)
    return build_mask_rcnn(backbone, spec, config.settings, semantic_head)


def _read_norm(tensors: Mapping[str, Tensor], prefix: str) -> NormLayer | None:
    if f"{prefix}.running_var" in tensors:
        return nn.BatchNorm2d  # for frozen ones too: Detectron2 computes them alike
    return partial(nn.GroupNorm, _NORM_GROUPS) if f"{prefix}.weight" in tensors else None


def _count_classes(network: MaskRCNN, config: Detectron2Config, source: str) -> tuple[int, int]:
    """Count things and stuff. Raises ValueError if the config has other numbers than the weights."""
    num_things = network.box_head.cls_score.out_features - 1
    head = network.semantic_head
    num_stuff = 0 if head is None else head.predictor.out_channels - 1  # channel 0 stands for all things
    for kind, count, configured in (
        ("thing", num_things, config.num_things),
        ("stuff", num_stuff, config.num_stuff if head else None),
    ):
        if configured not in (None, count):
            raise ValueError(f"{count} {kind} classes, but {source} says {configured} (NUM_CLASSES)")
    return num_things, num_stuff


def to_network_name(name: str, names: NamePairs) -> str:
    """Return the network's name of Detectron2's tensor `name`."""
    for stored, module in names:
        name = name.replace(stored, module)
    return name


def to_checkpoint_name(name: str, names: NamePairs) -> str:
    """Return Detectron2's name of the network's tensor `name`."""
    for stored, module in names:
        name = name.replace(module, stored)
    return name


def name_pairs(num_box_convs: int) -> NamePairs:
    """List pairs of name parts, Detectron2's and the network's, in the order in which to replace them.

    num_box_convs: convolutions of the box head before its fully connected layers.
    """
    box, mask, rpn = "roi_heads.box_head.", "roi_heads.mask_head.", "proposal_generator.rpn_head."
    predictor = "roi_heads.box_predictor."
    first_fc = num_box_convs + 1  # after the convolutions and nn.Flatten
    convs = [
        *((f"backbone.fpn_lateral{i + 2}", f"fpn.inner_blocks.{i}") for i in range(4)),
        *((f"backbone.fpn_output{i + 2}", f"fpn.layer_blocks.{i}") for i in range(4)),
        *((f"{box}conv{i + 1}", f"box_head.layers.{i}") for i in range(num_box_convs)),
        *((f"{mask}mask_fcn{i + 1}", f"mask_head.convs.{i}") for i in range(_MAX_LAYERS)),
        *(
            (f"sem_seg_head.p{i + 2}.{j}", f"semantic_head.levels.{i}.{j}")
            for i in range(4)
            for j in (0, 2, 4)
        ),
    ]
    return (
        *((f"{stored}.norm.", f"{module}.1.") for stored, module in convs),
        *((f"{stored}.", f"{module}.0.") for stored, module in convs),
        *((f"{box}fc{i + 1}.", f"box_head.layers.{first_fc + 2 * i}.") for i in range(_MAX_LAYERS)),
        (f"{rpn}conv.", "rpn.conv.0.0."),
        (f"{rpn}objectness_logits.", "rpn.cls_logits."),
        (f"{rpn}anchor_deltas.", "rpn.bbox_pred."),
        (f"{predictor}cls_score.", "box_head.cls_score."),
        (f"{predictor}bbox_pred.", "box_head.bbox_pred."),
        (f"{mask}deconv.", "mask_head.conv5_mask."),
        (f"{mask}predictor.", "mask_head.mask_fcn_logits."),
        ("sem_seg_head.predictor.", "semantic_head.predictor."),
        ("backbone.bottom_up.stem.conv1.norm.", "backbone.bn1."),
        ("backbone.bottom_up.stem.conv1.", "backbone.conv1."),
        *((f"backbone.bottom_up.res{i + 1}.", f"backbone.layer{i}.") for i in range(1, 5)),
        *((f".conv{i}.norm.", f".bn{i}.") for i in range(1, 4)),
        (".shortcut.norm.", ".downsample.1."),
        (".shortcut.", ".downsample.0."),
    )
