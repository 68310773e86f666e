# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Small Mask R-CNNs made by torchvision itself, with random but lively weights."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.resnet import resnet18
from torchvision.ops import FrozenBatchNorm2d


def light_maskrcnn(norm: Callable[[int], nn.Module], **options: Any) -> nn.Module:
    """The heads of maskrcnn_resnet50_fpn on a ResNet-18 and a narrow pyramid."""
    body = resnet18(weights=None, norm_layer=norm)
    layers = {f"layer{i + 1}": str(i) for i in range(4)}
    return MaskRCNN(BackboneWithFPN(body, layers, [64, 128, 256, 512], 32), **options)


def make_lively(model: nn.Module, seed: int) -> None:
    """Random weights of which tens of detections survive."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=random)
            elif name.endswith(("running_mean", "bias")):
                tensor.uniform_(-0.2, 0.2, generator=random)
            elif tensor.ndim == 1:
                tensor.uniform_(0.5, 1, generator=random)
            elif tensor.ndim > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=random)


def write_thin_checkpoint(folder: Path, num_classes: int = 91, seed: int = 1) -> tuple[Path, Path]:
    """A state dict as torchvision saves it, and a config: small enough for a busy machine."""
    channels = 32
    model = light_maskrcnn(
        partial(FrozenBatchNorm2d, eps=0.0),
        box_head=TwoMLPHead(channels * 7**2, 64),
        box_predictor=FastRCNNPredictor(64, num_classes),
        mask_head=MaskRCNNHeads(channels, (channels,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(channels, channels, num_classes),
    )
    make_lively(model, seed)
    torch.save(model.state_dict(), folder / "thin.pth")
    limits = {"min_size": 128, "max_size": 256, "rpn_pre_nms_top_n_test": 200, "rpn_post_nms_top_n_test": 60}
    (folder / "thin.yaml").write_text(yaml.safe_dump(limits))
    return folder / "thin.pth", folder / "thin.yaml"
