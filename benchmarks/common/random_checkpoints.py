# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files of the published architectures with seeded random weights, under the references' names.

What a network computes, and so its time and memory, is that of trained ones; what it finds means nothing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from common.pictures import pictures
from common.random_weights import Goal, draw_weights, settle
from torch import nn
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.resnet import resnet18
from torchvision.ops import FrozenBatchNorm2d

from seg_node.models.layers.backbones import FeaturePyramid, ResNet, ResNetSpec
from seg_node.models.rcnn.detectron2 import name_pairs, to_checkpoint_name
from seg_node.models.rcnn.detectron2_config import read_detectron2_config
from seg_node.models.rcnn.network import build_mask_rcnn
from seg_node.models.rcnn.semantic_head import SemanticHead
from seg_node.models.rcnn.spec import RCNNSpec
from seg_node.models.solo.model import SOLO
from seg_node.models.solo.names import find_dialect
from seg_node.models.solo.names import to_checkpoint_name as solo_name
from seg_node.models.solo.settings import PUBLISHED
from seg_node.models.solo.solov2_head import SOLOv2Head
from seg_node.models.yolact.config import PublishedModel, read_yolact_config
from seg_node.models.yolact.detect import make_priors
from seg_node.models.yolact.network import Yolact, YolactSpec
from seg_node.preprocess.prepare import prepare_frames
from seg_node.types import Frame

FAMILIES = ("mask_rcnn", "panoptic_fpn", "yolact", "solov2", "embedded", "thin")
THIN = {"min_size": 128, "max_size": 256, "rpn_pre_nms_top_n_test": 200, "rpn_post_nms_top_n_test": 60}
_RESNET50 = ResNetSpec(64, (3, 4, 6, 3), (64, 128, 256, 512), (256, 512, 1024, 2048))
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Random:
    """A network, how a frame goes through it, what its last layers shall give, and its tensors' file names.

    goals: see `settle`.
    """

    network: nn.Module
    run: Callable[[Frame], Any]
    goals: dict[str, Goal]
    file_name: Callable[[str], str] = str


def write_checkpoint(family: str, folder: Path) -> tuple[Path | None, Path | None]:
    """The weights' file and the configuration's; None where the family comes with its own.

    family: one of `FAMILIES`. thin is torchvision's Mask R-CNN on a ResNet-18 with narrow heads and small
    inputs: fast, for long runs and for trying things out.
    """
    if family == "embedded":
        return None, None
    builders = {
        "mask_rcnn": mask_rcnn, "panoptic_fpn": panoptic_fpn, "yolact": yolact, "solov2": solov2, "thin": thin
    }  # fmt: skip
    random = builders[family]()
    draw_weights(random.network)
    (frame,) = pictures((480, 640), 1)
    settle(random.network.eval(), partial(random.run, frame), random.goals)
    tensors = {random.file_name(name): tensor for name, tensor in random.network.state_dict().items()}
    torch.save(tensors, folder / f"{family}.pth")
    if family != "thin":
        return folder / f"{family}.pth", None
    (folder / "thin.yaml").write_text(yaml.safe_dump(THIN))
    return folder / "thin.pth", folder / "thin.yaml"


def mask_rcnn() -> Random:
    """torchvision's maskrcnn_resnet50_fpn."""
    return _of_torchvision(maskrcnn_resnet50_fpn(weights=None, weights_backbone=None), sizes=6)


def thin() -> Random:
    return _of_torchvision(thin_mask_rcnn(), sizes=0)


def thin_mask_rcnn() -> nn.Module:
    """torchvision's own Mask R-CNN class around small parts."""
    body = resnet18(weights=None, norm_layer=partial(FrozenBatchNorm2d, eps=0.0))
    layers = {f"layer{i + 1}": str(i) for i in range(4)}
    return MaskRCNN(
        BackboneWithFPN(body, layers, [64, 128, 256, 512], 32),
        box_head=TwoMLPHead(32 * 7**2, 64),
        box_predictor=FastRCNNPredictor(64, 91),
        mask_head=MaskRCNNHeads(32, (32,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(32, 32, 91),
        **THIN,
    )


def _of_torchvision(network: nn.Module, sizes: float) -> Random:
    goals = {
        "rpn.head.cls_logits": Goal(1, mean=-3),
        "rpn.head.bbox_pred": Goal(0.2),
        "roi_heads.box_predictor.cls_score": Goal(2, first=7),
        "roi_heads.box_predictor.bbox_pred": Goal(0.5, sizes=sizes),
        "roi_heads.mask_predictor.mask_fcn_logits": Goal(2, mean=1),
    }

    def run(frame: Frame) -> Any:
        return network([torch.from_numpy(frame.pixels[..., ::-1].copy()).permute(2, 0, 1) / 255])

    return Random(network, run, goals)


def panoptic_fpn() -> Random:
    """Detectron2's panoptic_fpn_R_50."""
    spec = RCNNSpec(
        stage_channels=_RESNET50.out_channels, fpn_channels=256, rpn_convs=1, box_convs=(),
        box_fcs=(1024, 1024), mask_convs=(256,) * 4, mask_deconv=256, num_classes=81, box_classes=80,
        mask_classes=80,
    )  # fmt: skip
    config = read_detectron2_config({}, "")
    semantic = SemanticHead(256, [(128,) * count for count in (1, 1, 2, 3)], 54, partial(nn.GroupNorm, 32))
    network = build_mask_rcnn(ResNet(_RESNET50, nn.BatchNorm2d), spec, config.settings, semantic)
    names = name_pairs(0)
    goals = {
        "rpn.cls_logits": Goal(1, mean=-3),
        "rpn.bbox_pred": Goal(0.2),
        "box_head.cls_score": Goal(2),
        "box_head.bbox_pred": Goal(0.5, sizes=6),
        "mask_head.mask_fcn_logits": Goal(2, mean=1),
        "semantic_head.predictor": Goal(2),
    }

    def run(frame: Frame) -> Any:
        batch = prepare_frames([frame], config.input_spec, _CPU)
        return network.select(network(batch.pixels), batch, config.options)

    return Random(network, run, goals, lambda name: to_checkpoint_name(name, names))


def yolact() -> Random:
    """dbolya/yolact's yolact_resnet50, for 550 pixels."""
    spec = YolactSpec(
        stage_channels=_RESNET50.out_channels[1:], fpn_channels=256, downsamples=2,
        proto=((256, 3), (256, 3), (256, 3), None, (256, 3), (32, 1)), upfeature=((256, 3),),
        num_classes=81, mask_dim=32, priors_per_cell=3, head_kernel=3,
    )  # fmt: skip
    config = read_yolact_config({}, "", PublishedModel(spec.num_classes))
    network = Yolact(ResNet(_RESNET50, nn.BatchNorm2d), spec, make_priors(config.settings))
    head = "prediction_layers.0."
    goals = {
        f"{head}bbox_layer": Goal(0.5, sizes=5),
        f"{head}conf_layer": Goal(1.5),
        f"{head}mask_layer": Goal(1, mean=0.3),
        "proto_net.10": Goal(1, mean=0.2),
    }

    def run(frame: Frame) -> Any:
        return network(prepare_frames([frame], config.input_spec, _CPU).pixels)

    def file_name(name: str) -> str:
        return re.sub(r"backbone\.layer(\d)", lambda match: f"backbone.layers.{int(match[1]) - 1}", name)

    return Random(network, run, goals, file_name)


def solov2() -> Random:
    """WXinlong/SOLO's solov2_r50_fpn."""
    network = SOLO(
        ResNet(_RESNET50, nn.BatchNorm2d),
        FeaturePyramid(_RESNET50.out_channels, 256, None),
        SOLOv2Head(256, (512,) * 4, (512,) * 4, 80, PUBLISHED.settings.grids, 128, 256),
        PUBLISHED.settings,
    )
    dialect = find_dialect(["bbox_head.solo_kernel.weight"])
    assert dialect is not None
    goals = {"head.solo_cate": Goal(1.5, mean=-7), "head.solo_kernel": Goal(0.2)}

    def run(frame: Frame) -> Any:
        batch = prepare_frames([frame], PUBLISHED.input_spec, _CPU)
        return network.select(network(batch.pixels), batch.sizes, PUBLISHED.options)

    return Random(network, run, goals, lambda name: solo_name(name, dialect))
