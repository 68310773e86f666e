# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""torchvision's own Mask R-CNN with the weights of a file of seg_node's training, to compare ours with."""

import json
from collections import OrderedDict
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from seg_node.models.layers.efficientnet_lite import OUT_CHANNELS, EfficientNetLite0


class _Backbone(nn.Module):
    """Body and pyramid, with the names and the output of torchvision's `BackboneWithFPN`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels = width
        self.body = EfficientNetLite0()
        self.fpn = FeaturePyramidNetwork(list(OUT_CHANNELS), width, LastLevelMaxPool())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.fpn(OrderedDict((str(i), feature) for i, feature in enumerate(self.body(x))))


def load_with_torchvision(file: Path) -> MaskRCNN:
    """Ready to detect; without the semantic branch, which torchvision does not have."""
    with safe_open(file, framework="pt") as content:
        config = json.loads(content.metadata()["config"])
        names = [name for name in content.keys() if not name.startswith("semantic_head.")]  # noqa: SIM118
        tensors = {name: content.get_tensor(name).float() for name in names}
    sizes, ratios = config["anchor_sizes"], config["anchor_ratios"]
    settings = {
        key: value
        for key, value in config.items()
        if key.startswith(("min_", "max_", "image_", "rpn_", "box_"))
    }
    width = tensors["rpn.head.cls_logits.weight"].shape[1]
    classes, features = tensors["roi_heads.box_predictor.cls_score.weight"].shape
    box_head: nn.Module
    if "roi_heads.box_head.fc6.weight" in tensors:
        box_head = TwoMLPHead(width * 7 * 7, features)
    else:
        widths = [tensors[f"roi_heads.box_head.{layer}.bias"].shape[0] for layer in (1, 3)]
        box_head = FastRCNNConvFCHead((width, 7, 7), [], widths)
    mask_convs = sum(name.startswith("roi_heads.mask_head.") and name.endswith(".weight") for name in names)
    network = MaskRCNN(
        _Backbone(width),
        rpn_anchor_generator=AnchorGenerator(tuple(map(tuple, sizes)), (tuple(ratios),) * len(sizes)),
        rpn_head=RPNHead(width, len(ratios), conv_depth=1),
        box_head=box_head,
        box_predictor=FastRCNNPredictor(features, classes),
        mask_head=MaskRCNNHeads(width, (width,) * mask_convs, 1),
        mask_predictor=MaskRCNNPredictor(width, width, classes),
        **settings,
    )
    network.load_state_dict(tensors)
    return network.eval()
