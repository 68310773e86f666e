# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Small checkpoints with Detectron2's names, random but lively, and their configs."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

WIDTH, BLOCKS, STAGE_WIDTHS = 32, (1, 2, 1, 1), (32, 64, 64, 128)
Shapes = Iterator[tuple[str, tuple[int, ...]]]

CONFIG: dict[str, Any] = {
    "INPUT": {"MIN_SIZE_TEST": 128, "MAX_SIZE_TEST": 256},
    "MODEL": {
        "META_ARCHITECTURE": "GeneralizedRCNN",
        "MASK_ON": True,
        "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
        "RESNETS": {"OUT_FEATURES": ["res2", "res3", "res4", "res5"], "STRIDE_IN_1X1": True},
        "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"]},
        "ANCHOR_GENERATOR": {"SIZES": [[16], [32], [64], [128], [256]]},
        "RPN": {
            "IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
            "PRE_NMS_TOPK_TEST": 200,
            "POST_NMS_TOPK_TEST": 60,
        },
        "ROI_HEADS": {
            "NAME": "StandardROIHeads",
            "IN_FEATURES": ["p2", "p3", "p4", "p5"],
            "NUM_CLASSES": 80,
        },
        "ROI_BOX_HEAD": {"NAME": "FastRCNNConvFCHead", "POOLER_RESOLUTION": 7},
    },
    "VERSION": 2,
}
PANOPTIC = {
    "META_ARCHITECTURE": "PanopticFPN",
    "SEM_SEG_HEAD": {"NUM_CLASSES": 54},
    "PANOPTIC_FPN": {"COMBINE": {"STUFF_AREA_LIMIT": 64, "INSTANCES_CONFIDENCE_THRESH": 0.2}},
}
# so that scores are high, and boxes not far from their anchors
_SCALES = {
    "backbone.bottom_up.stem.conv1.weight": 0.02,  # of pixels up to 255
    "proposal_generator.rpn_head.anchor_deltas.weight": 0.1,
    "roi_heads.box_predictor.bbox_pred.weight": 0.3,
    "roi_heads.box_predictor.cls_score.weight": 2,
}


def write_thin_checkpoint(folder: Path) -> tuple[Path, Path]:
    """A Mask R-CNN as the model zoo has them: a .pkl, and its config."""
    arrays = {name: tensor.numpy() for name, tensor in lively_tensors(maskrcnn_shapes()).items()}
    with (folder / "thin.pkl").open("wb") as file:
        pickle.dump({"model": arrays, "__author__": "nobody"}, file)
    (folder / "thin.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder / "thin.pkl", folder / "thin.yaml"


def write_thin_panoptic_checkpoint(folder: Path) -> tuple[Path, Path]:
    """A Panoptic FPN as Detectron2's trainer saves it: a .pth, and its config."""
    tensors = lively_tensors([*maskrcnn_shapes(), *semantic_shapes()])
    torch.save({"model": tensors, "iteration": 7}, folder / "panoptic.pth")
    config = {**CONFIG, "MODEL": {**CONFIG["MODEL"], **PANOPTIC}}
    (folder / "panoptic.yaml").write_text(yaml.safe_dump(config))
    return folder / "panoptic.pth", folder / "panoptic.yaml"


def maskrcnn_shapes(things: int = 80, agnostic: bool = False, groups: int = 1) -> Shapes:
    """Names and shapes. agnostic: box and mask are the same for all classes."""
    yield from _backbone_shapes(groups)
    for level, width in enumerate(STAGE_WIDTHS, start=2):
        yield from _biased(f"backbone.fpn_lateral{level}", WIDTH, width, 1, 1)
        yield from _biased(f"backbone.fpn_output{level}", WIDTH, WIDTH, 3, 3)
    rpn, heads = "proposal_generator.rpn_head.", "roi_heads."
    yield from _biased(f"{rpn}conv", WIDTH, WIDTH, 3, 3)
    yield from _biased(f"{rpn}objectness_logits", 3, WIDTH, 1, 1)
    yield from _biased(f"{rpn}anchor_deltas", 12, WIDTH, 1, 1)
    yield from _biased(f"{heads}box_head.fc1", 64, WIDTH * 49)
    yield from _biased(f"{heads}box_head.fc2", 64, 64)
    yield from _biased(f"{heads}box_predictor.cls_score", things + 1, 64)
    yield from _biased(f"{heads}box_predictor.bbox_pred", 4 if agnostic else 4 * things, 64)
    for i in range(1, 5):
        yield from _biased(f"{heads}mask_head.mask_fcn{i}", WIDTH, WIDTH, 3, 3)
    yield from _biased(f"{heads}mask_head.deconv", WIDTH, WIDTH, 2, 2)
    yield from _biased(f"{heads}mask_head.predictor", 1 if agnostic else things, WIDTH, 1, 1)


def semantic_shapes() -> Shapes:
    for level, convs in ((2, 1), (3, 1), (4, 2), (5, 3)):
        for i in range(convs):
            name = f"sem_seg_head.p{level}.{2 * i}"
            yield f"{name}.weight", (64, WIDTH if i == 0 else 64, 3, 3)
            yield f"{name}.norm.weight", (64,)
            yield f"{name}.norm.bias", (64,)
    yield from _biased("sem_seg_head.predictor", 54, 64, 1, 1)


def lively_tensors(shapes: Shapes | list[tuple[str, tuple[int, ...]]], seed: int = 1) -> dict[str, Tensor]:
    """Values with which tens of objects are found."""
    random = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes:
        if name.endswith("running_var"):
            tensors[name] = torch.empty(shape).uniform_(0.5, 2, generator=random)
        elif name.endswith(("bias", "running_mean")):
            middle = 1 if name == "roi_heads.mask_head.predictor.bias" else 0
            tensors[name] = torch.empty(shape).uniform_(middle - 0.2, middle + 0.2, generator=random)
        elif len(shape) == 1:
            tensors[name] = torch.empty(shape).uniform_(0.5, 1, generator=random)
        else:
            fan_in = torch.Size(shape[1:]).numel()
            deviation = _SCALES.get(name, 1) * (2 / fan_in) ** 0.5
            tensors[name] = torch.empty(shape).normal_(0, deviation, generator=random)
    return tensors


def _backbone_shapes(groups: int) -> Shapes:
    body = "backbone.bottom_up."
    yield from _normed(f"{body}stem.conv1", 16, 3, 7, 7)
    width_in = 16
    for stage, (blocks, width) in enumerate(zip(BLOCKS, STAGE_WIDTHS, strict=True), start=2):
        for block in range(blocks):
            name, mid = f"{body}res{stage}.{block}", width // 4 * groups
            if block == 0:
                yield from _normed(f"{name}.shortcut", width, width_in, 1, 1)
            yield from _normed(f"{name}.conv1", mid, width_in, 1, 1)
            yield from _normed(f"{name}.conv2", mid, mid // groups, 3, 3)
            yield from _normed(f"{name}.conv3", width, mid, 1, 1)
            width_in = width


def _normed(name: str, *shape: int) -> Shapes:
    yield f"{name}.weight", shape
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.norm.{part}", shape[:1]


def _biased(name: str, *shape: int) -> Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[1:2] if name.endswith("deconv") else shape[:1]
