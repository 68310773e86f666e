# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of SOLO, Decoupled SOLO and SOLOv2 → models.

Widths, depths and the kind of head come from the tensors; so do the grids, except for SOLOv2.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from seg_node.labels import COCO_THING_NAMES, zero_based_labels
from seg_node.models.files.checkpoint import Checkpoint, load_network, outline
from seg_node.models.files.config_file import parse_python_config
from seg_node.models.files.load_error import one_line
from seg_node.models.layers.backbones import (
    FeaturePyramid,
    ResNet,
    check_resnet,
    count_numbered,
    read_resnet_spec,
)
from seg_node.models.layers.deformable import make_deformable
from seg_node.models.solo.adelaidet_config import read_adelaidet_config
from seg_node.models.solo.config import read_names, read_openmmlab_config
from seg_node.models.solo.heads import DecoupledSOLOHead, SOLOHead
from seg_node.models.solo.model import SOLO, SoloModel
from seg_node.models.solo.names import find_dialect, is_adelaidet, to_checkpoint_name, to_network_name
from seg_node.models.solo.settings import LEVELS, PUBLISHED, SoloConfig
from seg_node.models.solo.solov2_head import SOLOv2Head
from seg_node.types import LabelSet

logger = logging.getLogger(__name__)

_MAX_CONFIG = 256 * 1024  # characters of a configuration inside a checkpoint; mmdetection's have 20 000


def is_solo(checkpoint: Checkpoint) -> bool:
    """Whether these are the tensors of a SOLO, Decoupled SOLO or SOLOv2."""
    return find_dialect(checkpoint.tensors) is not None


def load_solo(
    checkpoint: Checkpoint, config: Mapping[str, Any], source: str, labels: LabelSet | None = None
) -> SoloModel:
    """Load a checkpoint's model.

    config: a configuration of WXinlong/SOLO, mmdetection 2 or 3, or AdelaiDet; if empty, the checkpoint's
    own or else the values of the published models are used.
    source: names the configuration in messages.
    labels: the user's class names.
    Raises ValueError that names the file and the tensor or key that does not fit.
    """
    path, dialect = checkpoint.path, find_dialect(checkpoint.tensors)
    if dialect is None:
        raise ValueError(f"{path}: not a SOLO: it has neither kernels nor lists of masks")
    tensors = {to_network_name(name, dialect): tensor for name, tensor in checkpoint.tensors.items()}
    try:
        num_classes = tensors["head.solo_cate.weight"].shape[0]
        if is_adelaidet(dialect):
            settings = read_adelaidet_config(config, source, num_classes)
        else:
            content, source = (config, source) if config else (_carried_config(checkpoint), str(path))
            settings = read_openmmlab_config(content, source, published_config(tensors), num_classes)
            if not content:
                _log_assumed_input(settings, checkpoint)
        build = partial(build_solo, tensors, settings)
        outlined = outline(build)
        _check_kind(outlined, tensors, settings, source)
    except KeyError as error:
        raise ValueError(f"{path}: {to_checkpoint_name(error.args[0], dialect)} is missing") from error
    except (IndexError, ArithmeticError) as error:
        raise ValueError(f"{path}: not a SOLO of a known kind: {error}") from error
    network = load_network(build, outlined, tensors, lambda name: to_checkpoint_name(name, dialect), path)
    names = _carried_names(checkpoint) or settings.class_names
    try:
        known = zero_based_labels(num_classes, 0, names, labels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return SoloModel(network, known, settings.input_spec, settings.options)


def _check_kind(network: SOLO, tensors: Mapping[str, Tensor], config: SoloConfig, source: str) -> None:
    """Raise ValueError if the configuration describes another model than the tensors."""
    check_resnet(read_resnet_spec(tensors, "backbone."), config.depth, config.groups, source)
    own = type(network.head).__name__.removesuffix("Head")
    if config.head not in (None, own):
        raise ValueError(f"{source} describes a {config.head}, but the weights are of a {own}")


def build_solo(tensors: Mapping[str, Tensor], config: SoloConfig) -> SOLO:
    """Build the network, with random weights, for tensors with its names.

    Raises KeyError with the name of a tensor that should be there.
    """
    spec = read_resnet_spec(tensors, "backbone.", config.stride_in_1x1)
    fpn_channels = tensors["fpn.layer_blocks.0.0.weight"].shape[0]
    network = SOLO(
        ResNet(spec, nn.BatchNorm2d),
        FeaturePyramid(spec.out_channels, fpn_channels, None),
        _build_head(tensors, fpn_channels, config.settings.grids),
        config.settings,
    )
    make_deformable(network, tensors)
    return network.eval()


def published_config(tensors: Mapping[str, Tensor]) -> SoloConfig:
    """Return the configuration of the published model that is most like the tensors."""
    grids = PUBLISHED.settings.grids
    if "head.solo_ins_list.0.weight" in tensors:
        rows = (tensors[f"head.solo_ins_list.{level}.weight"].shape[0] for level in range(LEVELS))
        grids = tuple(math.isqrt(count) for count in rows)
    elif "head.solo_ins_list_x.0.weight" in tensors:
        grids = tuple(tensors[f"head.solo_ins_list_x.{level}.weight"].shape[0] for level in range(LEVELS))
    short, long = 800, 1333
    kernel_convs = count_numbered(tensors, "head.kernel_convs.")
    is_light_decoupled = "head.solo_ins_list_x.0.weight" in tensors and "head.ins_convs.0.0.weight" in tensors
    if kernel_convs == 3 or is_light_decoupled:
        short, long = 512, 852
    elif kernel_convs == 2:
        short, long = 448, 768
    return replace(
        PUBLISHED,
        settings=replace(PUBLISHED.settings, grids=grids),
        input_spec=replace(PUBLISHED.input_spec, min_size=short, max_size=long),
    )


def _build_head(
    tensors: Mapping[str, Tensor], in_channels: int, grids: tuple[int, ...]
) -> SOLOHead | DecoupledSOLOHead | SOLOv2Head:
    num_classes = tensors["head.solo_cate.weight"].shape[0]
    category = _tower_widths(tensors, "head.cate_convs.")
    if "head.solo_kernel.weight" in tensors:
        kernels = _tower_widths(tensors, "head.kernel_convs.")
        mask_channels = tensors["head.mask_feat.convs_all_levels.0.0.0.weight"].shape[0]
        kernel_size = tensors["head.mask_feat.conv_pred.0.weight"].shape[0]
        return SOLOv2Head(in_channels, category, kernels, num_classes, grids, mask_channels, kernel_size)
    if "head.solo_ins_list.0.weight" in tensors:
        masks = _tower_widths(tensors, "head.ins_convs.")
        return SOLOHead(in_channels, category, masks, num_classes, grids)
    light = "head.ins_convs.0.0.weight" in tensors
    masks = _tower_widths(tensors, "head.ins_convs." if light else "head.ins_convs_x.")
    mask_kernel = tensors["head.solo_ins_list_x.0.weight"].shape[-1]
    return DecoupledSOLOHead(in_channels, category, masks, num_classes, grids, light, mask_kernel)


def _tower_widths(tensors: Mapping[str, Tensor], prefix: str) -> tuple[int, ...]:
    count = max(count_numbered(tensors, prefix), 1)
    return tuple(tensors[f"{prefix}{i}.0.weight"].shape[0] for i in range(count))


def _carried_config(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Read the configuration that mmdetection writes into checkpoints as text (`config`, since 3 `cfg`)."""
    meta = checkpoint.metadata.get("meta", {})
    text = meta.get("cfg") or meta.get("config") if isinstance(meta, Mapping) else None
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_CONFIG:
        return {}
    first, _, rest = text.partition("\n")
    if first.endswith(".py"):  # mmdetection 1 writes the file's name before its text
        text = rest
    try:
        return parse_python_config(text, str(checkpoint.path))
    except ValueError as error:
        logger.warning("the configuration inside the checkpoint cannot be read: %s", one_line(str(error)))
        return {}


def _carried_names(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Read the class names that mmdetection writes into its checkpoints."""
    meta = checkpoint.metadata.get("meta", {})
    if not isinstance(meta, Mapping):
        return ()
    dataset = meta.get("dataset_meta") or meta  # mmdetection 3, or earlier
    if not isinstance(dataset, Mapping):
        return ()
    names = read_names(dataset.get("classes") or dataset.get("CLASSES"), str(checkpoint.path))
    # mmdetection 1 writes traffic_light
    return COCO_THING_NAMES if tuple(name.replace("_", " ") for name in names) == COCO_THING_NAMES else names


def _log_assumed_input(config: SoloConfig, checkpoint: Checkpoint) -> None:
    spec = config.input_spec
    logger.info(
        "%s: no configuration: images are scaled to sides of at most %d and %d pixels, as in the published "
        "model with this head",
        checkpoint.path,
        spec.max_size,
        spec.min_size,
    )
