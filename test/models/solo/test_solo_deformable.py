# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Deformable convolutions in SOLO checkpoints match plain ones."""

import re
from pathlib import Path

import pytest
import torch
from parity import CPU
from photograph import photograph
from thin_solo import WIDTH, Kind, thin_config, thin_tensors
from torch import Tensor, nn

from seg_node.models.files.checkpoint import Checkpoint
from seg_node.models.layers.deformable import DeformableConv2d
from seg_node.models.solo.checkpoint import load_solo
from seg_node.models.solo.masks import SoloPrediction
from seg_node.models.solo.model import SoloModel

MODULATED = 27
_IN_HEAD = r"(bbox_head\.\w+_convs\.1|mask_feat_head\..*)\.conv\.weight"
SURE = 30.0  # its sigmoid is 1


def layer(conv: nn.Conv2d, modulated: bool) -> DeformableConv2d:
    """Replace a convolution by a deformable one with zero shifts and weights of one."""
    deformable = DeformableConv2d(conv, modulated, bias=False)
    with torch.no_grad():
        deformable.weight.copy_(conv.weight)
        deformable.conv_offset.weight.zero_()
        deformable.conv_offset.bias.zero_()
        deformable.conv_offset.bias[2 * deformable.taps :] = SURE
    return deformable


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "groups"), [(3, 1, 1), (3, 2, 4), (1, 1, 1)])
def test_without_shifts_it_is_the_plain_convolution(
    modulated: bool, kernel: int, stride: int, groups: int
) -> None:
    conv = nn.Conv2d(8, 12, kernel, stride, kernel // 2, groups=groups, bias=False)
    x = torch.rand(2, 8, 9, 11)
    torch.testing.assert_close(layer(conv, modulated)(x), conv(x), rtol=0, atol=1e-5)


@torch.no_grad()
def test_taps_are_shifted_down_then_right_and_weighted() -> None:
    conv = nn.Conv2d(4, 5, 3, padding=1, bias=False)
    deformable = layer(conv, modulated=True)
    x = torch.rand(1, 4, 10, 12)
    deformable.conv_offset.bias[:18:2] = 2.0
    deformable.conv_offset.bias[1:18:2] = -1.0
    deformable.conv_offset.bias[18:] = 0.0  # its sigmoid is a half
    found, plain = deformable(x), conv(x) / 2
    torch.testing.assert_close(found[:, :, 1:-3, 2:-1], plain[:, :, 3:-1, 1:-2], rtol=0, atol=1e-5)


def with_offsets(tensors: dict[str, Tensor], spelling: str, channels: int) -> dict[str, Tensor]:
    """Make the last block of a stage, the last layer of each tower and the mask features deformable."""
    in_head = [name.removesuffix(".weight") for name in tensors if re.fullmatch(_IN_HEAD, name)]
    added = dict(tensors)
    for conv in ["backbone.layer3.1.conv2", *in_head]:
        kernel = tensors[f"{conv}.weight"].shape[-1]
        count = channels * kernel**2 // 9
        inputs = tensors[f"{conv}.weight"].shape[1]
        added[f"{conv}{spelling}.weight"] = torch.zeros(count, inputs, kernel, kernel)
        added[f"{conv}{spelling}.bias"] = torch.zeros(count)
        added[f"{conv}{spelling}.bias"][2 * kernel**2 :] = SURE
    return added


def answer(tensors: dict[str, Tensor]) -> tuple[SoloModel, SoloPrediction]:
    model = load_solo(Checkpoint(Path("solo.pth"), tensors), thin_config(), "solo.py")
    with torch.inference_mode():
        (found,) = model(model.prepare([photograph(120, 170)], CPU), model.default_options)
    return model, found


@pytest.mark.parametrize("kind", ["decoupled_light", "solov2"])
@pytest.mark.parametrize("spelling", [".conv_offset", "_offset"])
@pytest.mark.parametrize("channels", [18, MODULATED])
def test_checkpoints_with_them_load_in_both_spellings(kind: Kind, spelling: str, channels: int) -> None:
    tensors = with_offsets(thin_tensors(kind), spelling, channels)
    model, found = answer(tensors)
    _, plain = answer(thin_tensors(kind))
    replaced = [module for module in model.network.modules() if isinstance(module, DeformableConv2d)]
    assert len(replaced) == (len(tensors) - len(thin_tensors(kind))) / 2
    assert torch.equal(found.class_ids, plain.class_ids)
    torch.testing.assert_close(found.scores, plain.scores, rtol=0, atol=1e-4)


def test_offsets_of_another_kind_are_named() -> None:
    tensors = thin_tensors()
    tensors["bbox_head.cate_convs.0.conv.conv_offset.weight"] = torch.zeros(36, WIDTH, 3, 3)
    tensors["bbox_head.cate_convs.0.conv.conv_offset.bias"] = torch.zeros(36)
    with pytest.raises(ValueError, match=r"bbox_head.cate_convs.0.conv.conv_offset.weight: shape \(36"):
        answer(tensors)
    tensors = {**thin_tensors(), "bbox_head.other.0.conv.conv_offset.weight": torch.zeros(27, 8, 3, 3)}
    with pytest.raises(ValueError, match=r"bbox_head.other.0.conv.conv_offset.weight: not part of"):
        answer(tensors)
