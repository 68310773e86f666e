"""Mask R-CNN and Panoptic FPN checkpoints of Detectron2: R50, R101, X101 with FPN, and what was trained so.

All widths, depths, norms and the class count are read off the tensors; the rest is in Detectron2's config.
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

# what older files keep besides weights: it is in the config
_IGNORED = ("pixel_mean", "pixel_std", "proposal_generator.anchor_generator.cell_anchors.")
_NORM_GROUPS = 32  # of a group norm, wherever Detectron2 has one
_MOST_LAYERS = 8  # of one kind in a head


def is_detectron2(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of a Mask R-CNN of Detectron2."""
    return {"backbone.bottom_up.stem.conv1.weight", "roi_heads.mask_head.predictor.weight"} <= set(tensors)


def load_detectron2(
    checkpoint: Checkpoint, config: Mapping[str, Any], source: str, labels: LabelSet | None = None
) -> RCNNModel:
    """The model of a checkpoint, a Panoptic FPN when it has a semantic head.

    config: Detectron2's, from the file that `source` names; empty for that of the published models.
    labels: the user's class names.
    Raises ValueError that names the file, and the tensor or key that does not fit.
    """
    names = name_pairs(count_numbered(checkpoint.tensors, "roi_heads.box_head.conv"))
    tensors = {
        our_name(name, names): tensor
        for name, tensor in checkpoint.tensors.items()
        if not name.startswith(_IGNORED)
    }
    settled = _settle(config, source, _is_resnext(tensors), checkpoint.path)
    build = partial(_build_network, tensors, settled)
    try:
        outlined = outline(build)
    except KeyError as error:
        raise ValueError(f"{checkpoint.path}: {their_name(error.args[0], names)} is missing") from error
    except (ValueError, IndexError, ArithmeticError) as error:
        raise ValueError(f"{checkpoint.path}: not a Mask R-CNN of Detectron2's kind: {error}") from error
    _check_architecture(tensors, settled, source, checkpoint.path)
    network = load_network(build, outlined, tensors, lambda name: their_name(name, names), checkpoint.path)
    try:
        class_names = zero_based_labels(*_count_classes(network, settled, source), given=labels)
    except ValueError as error:
        raise ValueError(f"{checkpoint.path}: {error}") from error
    return RCNNModel(network, class_names, settled.input_spec, settled.options)


def _settle(config: Mapping[str, Any], source: str, is_resnext: bool, path: Path) -> Detectron2Config:
    """What the config says; without one, the published models', with a warning."""
    settled = read_detectron2_config(config, source, is_resnext)
    if not config:
        logger.warning(
            "%s: no config is given; assumed that of Detectron2's %s models: STRIDE_IN_1X1 %s, PIXEL_STD %s",
            path,
            "ResNeXt" if is_resnext else "ResNet",
            settled.stride_in_1x1,
            settled.input_spec.std,
        )
    return settled


def _is_resnext(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the 3x3 convolutions are in groups."""
    weight = tensors.get("backbone.layer1.0.conv2.weight")
    return weight is not None and weight.shape[1] < weight.shape[0]


def _check_architecture(
    tensors: Mapping[str, Tensor], config: Detectron2Config, source: str, path: Path
) -> None:
    """Raises ValueError when the config describes another model than the tensors are of."""
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
    """With random weights. tensors: by the network's names. Raises KeyError with a missing name."""
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
        return nn.BatchNorm2d  # the frozen ones too: Detectron2 computes them as these
    return partial(nn.GroupNorm, _NORM_GROUPS) if f"{prefix}.weight" in tensors else None


def _count_classes(network: MaskRCNN, config: Detectron2Config, source: str) -> tuple[int, int]:
    """Things and stuff. Raises ValueError when the weights have others than the config says."""
    num_things = network.box_head.cls_score.out_features - 1
    head = network.semantic_head
    num_stuff = 0 if head is None else head.predictor.out_channels - 1  # the first is for all things
    for kind, count, said in (
        ("thing", num_things, config.num_things),
        ("stuff", num_stuff, config.num_stuff if head else None),
    ):
        if said not in (None, count):
            raise ValueError(f"{count} {kind} classes, but {source} says {said} (NUM_CLASSES)")
    return num_things, num_stuff


def our_name(name: str, names: NamePairs) -> str:
    """The network's name of a tensor that Detectron2 calls `name`."""
    for theirs, ours in names:
        name = name.replace(theirs, ours)
    return name


def their_name(name: str, names: NamePairs) -> str:
    """Detectron2's name of the network's tensor `name`."""
    for theirs, ours in names:
        name = name.replace(ours, theirs)
    return name


def name_pairs(num_box_convs: int) -> NamePairs:
    """Parts of names, Detectron2's and the network's, to be replaced one after the other.

    num_box_convs: convolutions of the box head in front of its fully connected layers.
    """
    box, mask, rpn = "roi_heads.box_head.", "roi_heads.mask_head.", "proposal_generator.rpn_head."
    predictor = "roi_heads.box_predictor."
    first_fc = num_box_convs + 1  # behind the convolutions and what flattens their output
    convs = [
        *((f"backbone.fpn_lateral{i + 2}", f"fpn.inner_blocks.{i}") for i in range(4)),
        *((f"backbone.fpn_output{i + 2}", f"fpn.layer_blocks.{i}") for i in range(4)),
        *((f"{box}conv{i + 1}", f"box_head.layers.{i}") for i in range(num_box_convs)),
        *((f"{mask}mask_fcn{i + 1}", f"mask_head.convs.{i}") for i in range(_MOST_LAYERS)),
        *(
            (f"sem_seg_head.p{i + 2}.{j}", f"semantic_head.levels.{i}.{j}")
            for i in range(4)
            for j in (0, 2, 4)
        ),
    ]
    return (
        *((f"{theirs}.norm.", f"{ours}.1.") for theirs, ours in convs),
        *((f"{theirs}.", f"{ours}.0.") for theirs, ours in convs),
        *((f"{box}fc{i + 1}.", f"box_head.layers.{first_fc + 2 * i}.") for i in range(_MOST_LAYERS)),
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
