# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Caffe2 blobs are converted to the same tensors as by Detectron2's converter."""

import pickle
from pathlib import Path

import pytest
import torch
from parity import FIXTURES, fixture_files, full_size_tensors, needs_shared

from seg_node.models.files.caffe2 import convert_caffe2, detectron2_name, is_caffe2
from seg_node.models.files.checkpoint import read_checkpoint


@pytest.mark.parametrize(
    ("blob", "name"),
    [
        ("conv1_w", "backbone.bottom_up.stem.conv1.weight"),
        ("res_conv1_bn_s", "backbone.bottom_up.stem.conv1.norm.weight"),
        ("res_conv1_bn_b", "backbone.bottom_up.stem.conv1.norm.bias"),
        ("res2_0_branch1_w", "backbone.bottom_up.res2.0.shortcut.weight"),
        ("res2_0_branch1_bn_b", "backbone.bottom_up.res2.0.shortcut.norm.bias"),
        ("res4_22_branch2a_w", "backbone.bottom_up.res4.22.conv1.weight"),
        ("res4_22_branch2b_bn_s", "backbone.bottom_up.res4.22.conv2.norm.weight"),
        ("res4_22_branch2b_bn_rm", "backbone.bottom_up.res4.22.conv2.norm.running_mean"),
        ("res4_22_branch2b_bn_riv", "backbone.bottom_up.res4.22.conv2.norm.running_var"),
        ("res5_2_branch2c_w", "backbone.bottom_up.res5.2.conv3.weight"),
        ("fpn_inner_res5_2_sum_w", "backbone.fpn_lateral5.weight"),
        ("fpn_inner_res4_22_sum_lateral_b", "backbone.fpn_lateral4.bias"),
        ("fpn_inner_res2_2_sum_lateral_gn_s", "backbone.fpn_lateral2.norm.weight"),
        ("fpn_res3_3_sum_w", "backbone.fpn_output3.weight"),
        ("fpn_res3_3_sum_gn_b", "backbone.fpn_output3.norm.bias"),
        ("conv_rpn_fpn2_w", "proposal_generator.rpn_head.conv.weight"),
        ("rpn_cls_logits_fpn2_b", "proposal_generator.rpn_head.objectness_logits.bias"),
        ("rpn_bbox_pred_fpn2_w", "proposal_generator.rpn_head.anchor_deltas.weight"),
        ("fc6_w", "roi_heads.box_head.fc1.weight"),
        ("fc7_b", "roi_heads.box_head.fc2.bias"),
        ("head_conv4_gn_s", "roi_heads.box_head.conv4.norm.weight"),
        ("cls_score_w", "roi_heads.box_predictor.cls_score.weight"),
        ("bbox_pred_b", "roi_heads.box_predictor.bbox_pred.bias"),
        ("_[mask]_fcn1_w", "roi_heads.mask_head.mask_fcn1.weight"),
        ("_mask_fcn4_b", "roi_heads.mask_head.mask_fcn4.bias"),
        ("conv5_mask_w", "roi_heads.mask_head.deconv.weight"),
        ("mask_fcn_logits_b", "roi_heads.mask_head.predictor.bias"),
        ("conv1_b", None),
        ("fc1000_w", None),
        ("pred_b", None),
        ("fc6_w_momentum", None),
        ("res2_0_branch2a_bn_s_momentum", None),
        ("kps_score_w", None),
        ("lr", None),
    ],
)
def test_blob_has_the_name_of_detectron2(blob: str, name: str | None) -> None:
    assert detectron2_name(blob) == name


def test_background_moves_from_first_to_last_or_goes() -> None:
    classes = torch.arange(3.0)  # the background and two
    tensors = convert_caffe2(
        {
            "cls_score_w": classes[:, None].expand(3, 5),
            "cls_score_b": classes,
            "bbox_pred_w": classes.repeat_interleave(4)[:, None].expand(12, 5),
            "bbox_pred_b": classes.repeat_interleave(4),
            "mask_fcn_logits_w": classes[:, None, None, None],
            "mask_fcn_logits_b": classes,
            "rpn_bbox_pred_fpn2_b": torch.arange(12.0),
        }
    )
    predictor = "roi_heads.box_predictor"
    assert tensors[f"{predictor}.cls_score.bias"].tolist() == [1, 2, 0]
    assert tensors[f"{predictor}.cls_score.weight"][:, 0].tolist() == [1, 2, 0]
    assert tensors[f"{predictor}.bbox_pred.bias"].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    assert tensors[f"{predictor}.bbox_pred.weight"].shape == (8, 5)
    assert tensors["roi_heads.mask_head.predictor.bias"].tolist() == [1, 2]
    assert tensors["roi_heads.mask_head.predictor.weight"].flatten().tolist() == [1, 2]
    assert tensors["proposal_generator.rpn_head.anchor_deltas.bias"].tolist() == list(range(12))


def test_affine_normalisation_leaves_the_input_as_it_is_before_scale_and_bias() -> None:
    scale, bias = torch.tensor([2.0, 3.0]), torch.tensor([0.5, -0.5])
    tensors = convert_caffe2({"res_conv1_bn_s": scale, "res_conv1_bn_b": bias})
    norm = torch.nn.BatchNorm2d(2).eval()
    norm.load_state_dict({name.rpartition(".")[2]: tensor for name, tensor in tensors.items()}, strict=False)
    assert {name.rpartition(".")[2] for name in tensors} == {"weight", "bias", "running_mean", "running_var"}
    pixels = torch.linspace(0.5, 1, 32).reshape(1, 2, 4, 4)
    expected = pixels * scale[:, None, None] + bias[:, None, None]
    torch.testing.assert_close(norm(pixels), expected, rtol=0, atol=1e-6)


def test_running_statistics_and_group_norm_are_kept_as_they_are() -> None:
    ones = torch.ones(2)
    tensors = convert_caffe2(
        {"res2_0_branch1_bn_rm": ones * 3, "res2_0_branch1_bn_s": ones, "fpn_res2_2_sum_gn_s": ones}
    )
    shortcut = "backbone.bottom_up.res2.0.shortcut.norm"
    assert tensors[f"{shortcut}.running_mean"].tolist() == [3, 3]
    assert not [name for name in tensors if name.startswith("backbone.fpn_output2.norm.running")]


def test_only_names_without_dots_are_blobs() -> None:
    assert is_caffe2(["conv1_w", "_[mask]_fcn1_w"])
    assert not is_caffe2(["conv1_w", "backbone.conv1.weight"])


def caffe2_name(name: str) -> str:
    """Return the blob of Detectron2's tensor, the reverse conversion for ResNet-50."""
    last_block = {"2": "2", "3": "3", "4": "5", "5": "2"}
    module, _, parameter = name.rpartition(".")
    blob = module.replace("backbone.bottom_up.", "").replace(".norm", ".bn").replace("shortcut", "branch1")
    for index, letter in enumerate("abc", 1):
        if blob.startswith("res"):
            blob = blob.replace(f".conv{index}", f".branch2{letter}")
    blob = {"stem.conv1": "conv1", "stem.conv1.bn": "res.conv1.bn"}.get(blob, blob)
    for old, new in {
        "backbone.fpn_lateral": "fpn.inner.res",
        "backbone.fpn_output": "fpn.res",
        "proposal_generator.rpn_head.conv": "conv.rpn.fpn2",
        "proposal_generator.rpn_head.objectness_logits": "rpn.cls.logits.fpn2",
        "proposal_generator.rpn_head.anchor_deltas": "rpn.bbox.pred.fpn2",
        "roi_heads.box_head.fc1": "fc6",
        "roi_heads.box_head.fc2": "fc7",
        "roi_heads.box_predictor.cls_score": "cls.score",
        "roi_heads.box_predictor.bbox_pred": "bbox.pred",
        "roi_heads.mask_head.mask_": ".[mask].",
        "roi_heads.mask_head.deconv": "conv5.mask",
        "roi_heads.mask_head.predictor": "mask.fcn.logits",
    }.items():
        blob = blob.replace(old, new)
    if blob.startswith("fpn."):
        lateral = ".lateral" if "inner" in blob and not blob.endswith("5") else ""
        blob = f"{blob}.{last_block[blob[-1]]}.sum{lateral}"
    short = {
        "weight": "s" if blob.endswith(".bn") else "w",
        "bias": "b",
        "running_mean": "rm",
        "running_var": "riv",
    }[parameter]
    return f"{blob}.{short}".replace(".", "_")


@needs_shared
def test_blobs_of_a_whole_model_become_exactly_detectron2s_tensors() -> None:
    expected = full_size_tensors(FIXTURES / "d2_maskrcnn/keys_fullsize.txt")
    blobs = {}
    for name, tensor in expected.items():
        extra = {"cls_score": 0, "bbox_pred": 4, "predictor": 1}.get(name.split(".")[-2], 0)
        if ".running_" not in name:
            blobs[caffe2_name(name)] = torch.zeros(()).expand(tensor.shape[0] + extra, *tensor.shape[1:])
    assert "res2_0_branch2a_bn_s" in blobs and "_[mask]_fcn1_w" in blobs and "res_conv1_bn_s" in blobs
    converted = convert_caffe2(blobs)
    assert {name: tensor.shape for name, tensor in converted.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }


@needs_shared
def test_a_model_written_as_blobs_comes_back_the_same(tmp_path: Path) -> None:
    expected = read_checkpoint(fixture_files("d2_maskrcnn")[0]).tensors
    blobs = {}
    for name, tensor in expected.items():
        module = name.split(".")[-2]
        if module == "cls_score":
            tensor = torch.cat([tensor[-1:], tensor[:-1]])
        elif module in ("bbox_pred", "predictor"):
            background = torch.zeros(4 if module == "bbox_pred" else 1, *tensor.shape[1:])
            tensor = torch.cat([background, tensor])
        blobs[caffe2_name(name)] = tensor.numpy()
    (tmp_path / "model_final.pkl").write_bytes(pickle.dumps({"blobs": blobs, "cfg": "MODEL: {}"}, 2))
    read = read_checkpoint(tmp_path / "model_final.pkl").tensors
    assert set(read) == set(expected)
    assert all(read[name].equal(tensor) for name, tensor in expected.items())
