# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of SOLO are recognised, and their tensors renamed."""

from pathlib import Path

import pytest
import torch
from parity import FIXTURES, full_size_tensors, needs_shared
from thin_solo import thin_config, thin_tensors
from torch import Tensor

from seg_node.models.files.checkpoint import Checkpoint
from seg_node.models.solo.checkpoint import is_solo, load_solo
from seg_node.models.solo.model import SoloModel
from seg_node.models.solo.names import find_dialect, to_checkpoint_name, to_network_name

FAMILIES = ("solo", "decoupled_solo", "solov2", "adet_solov2")
LISTINGS = [file for family in FAMILIES for file in sorted((FIXTURES / family).glob("keys_fullsize*.txt"))]
OTHERS = [
    file
    for folder in sorted(FIXTURES.glob("*"))
    if folder.name not in FAMILIES
    for file in sorted(folder.glob("keys_fullsize*.txt"))
]


def load(tensors: dict[str, Tensor]) -> SoloModel:
    return load_solo(Checkpoint(Path("solo.pth"), tensors), thin_config(), "solo.py")


@needs_shared
@pytest.mark.parametrize("listing", LISTINGS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_full_size_checkpoints_load_with_nothing_left_over(listing: Path) -> None:
    tensors = full_size_tensors(listing)
    assert is_solo(Checkpoint(Path("solo.pth"), tensors))
    model = load_solo(Checkpoint(Path("solo.pth"), tensors), {}, "None")
    ours = model.network.state_dict()
    counters = [name for name in ours if name.endswith("num_batches_tracked")]  # AdelaiDet has none
    assert len(ours) - len(tensors) in (0, len(counters))
    values = sum(value.numel() for name, value in ours.items() if name not in counters)
    assert values == sum(v.numel() for name, v in tensors.items() if "num_batches_tracked" not in name)
    assert model.labels.name(79) == "toothbrush"
    assert model.network.settings.grids == (40, 36, 24, 16, 12)
    sizes = (800, 1333)
    if "light" in listing.name:
        sizes = (512, 852) if "decoupled" in listing.name else (448, 768)
    assert (model.input_spec.min_size, model.input_spec.max_size) == sizes


@needs_shared
@pytest.mark.parametrize("listing", LISTINGS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_name_has_a_way_back(listing: Path) -> None:
    names = list(full_size_tensors(listing))
    dialect = find_dialect(names)
    assert dialect is not None
    ours = [to_network_name(name, dialect) for name in names]
    assert len(set(ours)) == len(names)
    assert [to_checkpoint_name(name, dialect) for name in ours] == names


@needs_shared
@pytest.mark.parametrize("listing", OTHERS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_other_families_are_not_recognised_as_solo(listing: Path) -> None:
    assert not is_solo(Checkpoint(Path("solo.pth"), full_size_tensors(listing)))


def test_a_tensor_missing_is_named_as_in_the_file() -> None:
    for name in (
        "bbox_head.dsolo_cate.weight",
        "neck.fpn_convs.0.conv.weight",
        "bbox_head.cate_convs.0.gn.bias",
    ):
        tensors = thin_tensors("decoupled")
        del tensors[name]
        with pytest.raises(ValueError, match=f"solo.pth: {name}.*missing"):
            load(tensors)


def test_a_tensor_left_over_is_named_as_in_the_file() -> None:
    tensors = {**thin_tensors(), "bbox_head.kernel_convs.0.conv.bias": torch.zeros(32)}
    with pytest.raises(
        ValueError, match=r"bbox_head.kernel_convs.0.conv.bias: not part of this architecture"
    ):
        load(tensors)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("backbone.layer2.0.conv2.conv_offset.bias", "backbone.layer2.0.conv2.conv_offset.bias"),
        ("mask_head.kernel_convs.0.conv.conv_offset.bias", "head.kernel_convs.0.0.conv_offset.bias"),
        ("mask_head.cls_convs.3.conv.weight", "head.cate_convs.3.0.weight"),
        (
            "mask_head.mask_feature_head.conv_pred.conv.conv_offset.bias",
            "head.mask_feat.conv_pred.0.conv_offset.bias",
        ),
    ],
)
def test_mmdetection_s_names_are_translated_both_ways(theirs: str, ours: str) -> None:
    dialect = find_dialect(["mask_head.conv_kernel.weight"])
    assert dialect is not None
    assert to_network_name(theirs, dialect) == ours
    assert to_checkpoint_name(ours, dialect) == theirs
