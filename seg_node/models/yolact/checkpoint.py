# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT and YOLACT++ checkpoints of dbolya/yolact: R-50, R-101 and DarkNet-53, any input size.

Widths, depths and the class count come from the tensors. Source: `yolact.py: load_weights`.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from seg_node.labels import zero_based_labels
from seg_node.models.files.checkpoint import Checkpoint, load_network, outline
from seg_node.models.layers.backbones import ResNet, read_resnet_spec
from seg_node.models.layers.deformable import make_deformable
from seg_node.models.yolact.config import (
    PUBLISHED_SIZE,
    PublishedModel,
    YolactConfig,
    read_yolact_config,
)
from seg_node.models.yolact.config_choice import choose_yolact_config
from seg_node.models.yolact.darknet import DarkNet, read_darknet_spec
from seg_node.models.yolact.detect import make_priors
from seg_node.models.yolact.model import YolactModel
from seg_node.models.yolact.network import Layer, Yolact, YolactSpec
from seg_node.types import LabelSet

logger = logging.getLogger(__name__)

_HEAD = "prediction_layers.0."
_MASK_IOU = "maskiou_net.maskiou_net."
_MAX_LAYERS = 100  # in a stack; the published models have 11
# the reference's file names contain the configuration: yolact_im400_54_800000.pth
_SIZE_IN_NAME = re.compile(r"_im(400|700)(?!\d)")


def is_yolact(checkpoint: Checkpoint) -> bool:
    """Whether these are a YOLACT's tensors."""
    names = {f"{_HEAD}bbox_layer.weight", f"{_HEAD}mask_layer.weight", "proto_net.0.weight"}
    return names <= checkpoint.tensors.keys()


def load_yolact(
    checkpoint: Checkpoint, config: Mapping[str, Any], source: str, labels: LabelSet | None = None
) -> YolactModel:
    """Load a checkpoint's model.

    config: the reference's, complete or partial; missing keys are as in the published models.
    source: names the configuration in errors. labels: class names that replace the configuration's.
    Raises ValueError that names the file, the tensor or key, and what is expected.
    """
    path = checkpoint.path
    with _naming_file(path):
        published = _published_model(checkpoint, has_config=bool(config))
    config = choose_yolact_config(config, source, path.name)
    settings = read_yolact_config(config, source, published)
    with _naming_file(path):
        tensors = _tensors_of_inference(checkpoint.tensors, settings.downsamples)
        build = partial(_build, tensors, settings, published.darknet)
        outlined = outline(build)
    network = load_network(build, outlined, tensors, _to_checkpoint_name, path)
    try:
        names = zero_based_labels(published.num_classes - 1, names=settings.class_names, given=labels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return YolactModel(network, names, settings.input_spec, settings.options, settings.settings)


@contextmanager
def _naming_file(path: Path) -> Iterator[None]:
    """Add the file's name to errors about its tensors."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path}: {_to_checkpoint_name(error.args[0])} is missing") from error
    except (ValueError, IndexError, ArithmeticError) as error:
        raise ValueError(f"{path}: not a YOLACT of dbolya's kind: {error}") from error


def _published_model(checkpoint: Checkpoint, has_config: bool) -> PublishedModel:
    """Describe the published model most like the checkpoint. Raises KeyError with a missing tensor's name."""
    tensors, path = checkpoint.tensors, checkpoint.path
    match = None if has_config else _SIZE_IN_NAME.search(path.name)
    size = int(match[1]) if match else PUBLISHED_SIZE
    if not has_config:
        logger.warning(
            "%s: no configuration given, assuming a model of %dx%d images%s; else give its configuration",
            path,
            size,
            size,
            " by its file name" if match else "",
        )
    return PublishedModel(
        num_classes=_count_classes(tensors),
        darknet="backbone._preconv.0.weight" in tensors,
        plus=any(name.startswith(_MASK_IOU) for name in tensors),
        input_size=size,
    )


def _tensors_of_inference(tensors: Mapping[str, Tensor], downsamples: int) -> dict[str, Tensor]:
    """Select the tensors that inference needs and rename them as in the network."""
    return {
        _to_network_name(name): tensor
        for name, tensor in tensors.items()
        if not _is_dropped(name, downsamples)
    }


def _is_dropped(name: str, downsamples: int) -> bool:
    """Whether a tensor is for training only, or saved twice by old versions of the reference."""
    if name.startswith("fpn.downsample_layers."):
        return int(name.split(".")[2]) >= downsamples
    twice = name.startswith("backbone.layer") and not name.startswith("backbone.layers.")
    return twice or name.startswith("semantic_seg_conv.")


def _to_network_name(name: str) -> str:
    """Rename layers.0.2.conv1.weight to layer1.2.conv1.weight in ResNets; DarkNet's names end differently."""
    name = name.replace(".conv_offset_mask.", ".conv_offset.")
    match = re.fullmatch(
        r"backbone\.layers\.(\d+)\.(\d+\.(?:conv\d(?:\.conv_offset)?|bn\d|downsample\.\d)\.[a-z_]+)",
        name,
    )
    return f"backbone.layer{int(match[1]) + 1}.{match[2]}" if match else name


def _to_checkpoint_name(name: str) -> str:
    name = name.replace(".conv_offset.", ".conv_offset_mask.")
    match = re.match(r"backbone\.layer(\d+)\.", name)
    return f"backbone.layers.{int(match[1]) - 1}.{name[match.end() :]}" if match else name


def _count_classes(tensors: Mapping[str, Tensor]) -> int:
    return tensors[f"{_HEAD}conf_layer.weight"].shape[0] // _count_priors(tensors)


def _count_priors(tensors: Mapping[str, Tensor]) -> int:
    return max(1, tensors[f"{_HEAD}bbox_layer.weight"].shape[0] // 4)


def _build(tensors: Mapping[str, Tensor], config: YolactConfig, darknet: bool) -> Yolact:
    """Build the network with random weights. Raises KeyError with a missing name."""
    backbone: nn.Module
    if darknet:
        darknet_spec = read_darknet_spec(tensors, "backbone.")
        backbone, channels = DarkNet(darknet_spec), darknet_spec.out_channels
    else:
        resnet_spec = read_resnet_spec(tensors, "backbone.")
        backbone, channels = ResNet(resnet_spec, nn.BatchNorm2d), resnet_spec.out_channels
    spec = read_yolact_spec(tensors, channels[-3:], config.downsamples)
    prior_sizes = config.settings.prior_sizes
    levels = len(spec.stage_channels) + spec.downsamples
    if [len(sizes) for sizes in prior_sizes] != [spec.priors_per_cell] * levels:
        raise ValueError(
            f"the checkpoint has {levels} levels of {spec.priors_per_cell} priors a cell, the configuration "
            f"has {[len(sizes) for sizes in prior_sizes]}; check pred_scales and pred_aspect_ratios"
        )
    network = Yolact(backbone, spec, make_priors(config.settings))
    make_deformable(network, tensors)
    return network.eval()


def read_yolact_spec(
    tensors: Mapping[str, Tensor], stage_channels: tuple[int, ...], downsamples: int
) -> YolactSpec:
    """Derive the spec of all layers above the backbone. Raises KeyError with a missing name."""
    priors = _count_priors(tensors)
    return YolactSpec(
        stage_channels=stage_channels,
        fpn_channels=tensors["fpn.lat_layers.0.weight"].shape[0],
        downsamples=downsamples,
        proto=_read_layers(tensors, "proto_net."),
        upfeature=_read_layers(tensors, f"{_HEAD}upfeature."),
        num_classes=_count_classes(tensors),
        mask_dim=tensors[f"{_HEAD}mask_layer.weight"].shape[0] // priors,
        priors_per_cell=priors,
        head_kernel=tensors[f"{_HEAD}bbox_layer.weight"].shape[-1],
        mask_iou=tuple(layer for layer in _read_layers(tensors, _MASK_IOU) if layer is not None),
    )


def _read_layers(tensors: Mapping[str, Tensor], prefix: str) -> tuple[Layer, ...]:
    """Read a stack of layers: they have even numbers, ReLUs odd ones; one without weights enlarges."""
    numbers = [int(name[len(prefix) :].split(".")[0]) for name in tensors if name.startswith(prefix)]
    if numbers and max(numbers) > _MAX_LAYERS:
        raise ValueError(f"a layer {prefix}{max(numbers)}, of at most {_MAX_LAYERS}")
    weights = [
        tensors.get(f"{prefix}{number}.weight") for number in range(0, max(numbers, default=-2) + 1, 2)
    ]
    return tuple(None if weight is None else (weight.shape[0], weight.shape[-1]) for weight in weights)
