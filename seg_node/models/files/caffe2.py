# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Blobs of the Caffe2 Detectron → tensors with Detectron2's names.

Source: Detectron2 `checkpoint/c2_model_loading.py: convert_c2_detectron_names`, and
`layers/batch_norm.py: FrozenBatchNorm2d` for normalisations that are stored as scale and bias only.
"""

import logging
import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from seg_node.untrusted.printable import listed

logger = logging.getLogger(__name__)

_FROZEN_BN_EPS = 1e-5
_HEAD = "proposal_generator.rpn_head"

# patterns for names with underscores replaced by dots; exactly one of _MODULES must match
_PARAMETERS = (
    (r"\.w$", ".weight"),
    (r"\.b$", ".bias"),
    (r"\.[bg]n\.(s|gamma)$", ".norm.weight"),
    (r"\.[bg]n\.(bias|beta)$", ".norm.bias"),
    (r"\.bn\.(rm|running\.mean)$", ".norm.running_mean"),
    (r"\.bn\.(riv|running\.var)$", ".norm.running_var"),
)
_MODULES = (
    (r"(res\.)?conv1\.", "backbone.bottom_up.stem.conv1."),
    (r"(res\d\.\d+)\.branch1\.", r"backbone.bottom_up.\1.shortcut."),
    (r"(res\d\.\d+)\.branch2a\.", r"backbone.bottom_up.\1.conv1."),
    (r"(res\d\.\d+)\.branch2b\.", r"backbone.bottom_up.\1.conv2."),
    (r"(res\d\.\d+)\.branch2c\.", r"backbone.bottom_up.\1.conv3."),
    (r"fpn\.inner\.res(\d)\.\d+\.sum(\.lateral)?\.", r"backbone.fpn_lateral\1."),
    (r"fpn\.res(\d)\.\d+\.sum\.", r"backbone.fpn_output\1."),
    (r"conv\.rpn(\.fpn2)?\.", f"{_HEAD}.conv."),
    (r"rpn\.cls\.logits(\.fpn2)?\.", f"{_HEAD}.objectness_logits."),
    (r"rpn\.bbox\.pred(\.fpn2)?\.", f"{_HEAD}.anchor_deltas."),
    (r"fc6\.", "roi_heads.box_head.fc1."),
    (r"fc7\.", "roi_heads.box_head.fc2."),
    (r"head\.conv(\d)\.", r"roi_heads.box_head.conv\1."),
    (r"cls\.score\.", "roi_heads.box_predictor.cls_score."),
    (r"bbox\.pred\.", "roi_heads.box_predictor.bbox_pred."),
    (r"\.\[?mask\]?\.fcn(\d)\.", r"roi_heads.mask_head.mask_fcn\1."),
    (r"conv5\.mask\.", "roi_heads.mask_head.deconv."),
    (r"mask\.fcn\.logits\.", "roi_heads.mask_head.predictor."),
)


def is_caffe2(names: Iterable[str]) -> bool:
    """Whether these are names of Caffe2 blobs, which have underscores where PyTorch has dots."""
    return not any("." in name for name in names)


def convert_caffe2(blobs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename blobs as in Detectron2 and reorder their classes: the background comes last, or is dropped.

    Blobs of the optimizer (…_momentum) and blobs that a Mask R-CNN does not have are dropped.
    """
    tensors: dict[str, Tensor] = {}
    unknown = []
    for blob, value in blobs.items():
        name = detectron2_name(blob)
        if name is None:
            unknown.append(blob)
            continue
        tensors[name] = _without_background_first(name, value)
        if blob.endswith("_bn_s"):  # frozen normalisation, stored as scale and bias only
            module = name.removesuffix("weight")
            tensors.setdefault(f"{module}running_mean", torch.zeros_like(value))
            tensors.setdefault(f"{module}running_var", torch.full_like(value, 1 - _FROZEN_BN_EPS))
    unknown = [blob for blob in unknown if not blob.endswith("_momentum")]
    if unknown:
        logger.info("ignored blobs that the model does not have: %s", listed(sorted(unknown)))
    return tensors


def detectron2_name(blob: str) -> str | None:
    """Return Detectron2's name of a blob, or None if its model has no such tensor."""
    name = blob.replace("_", ".")
    for pattern, replacement in _PARAMETERS:
        name = re.sub(pattern, replacement, name)
    for pattern, replacement in _MODULES:
        renamed, fits = re.subn(f"^{pattern}", replacement, name)
        module, _, parameter = renamed.rpartition(".")
        if fits and parameter in ("weight", "bias", "running_mean", "running_var"):
            # the trunk's convolutions have no bias; the stem's is all zeros, a leftover of ImageNet training
            is_spare = parameter == "bias" and ".bottom_up." in module and not module.endswith("norm")
            return None if is_spare else renamed
    return None


def _without_background_first(name: str, value: Tensor) -> Tensor:
    module = name.rpartition(".")[0].rpartition(".")[2]
    match module:
        case "cls_score":
            return torch.cat([value[1:], value[:1]])
        case "bbox_pred":
            return value[4:]
        case "predictor":
            return value[1:]
    return value
