# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A configuration of another model than the weights are of is refused, and says what differs."""

from pathlib import Path
from typing import Any

import pytest
import thin_detectron2
import thin_solo
import thin_yolact
import yaml

from seg_node.models.layers.backbones import ResNetSpec, check_resnet
from seg_node.models.load import load_model


def test_detectron2_reports_which_resnet_differs(tmp_path: Path) -> None:
    weights, config = thin_detectron2.write_thin_checkpoint(tmp_path)
    content = yaml.safe_load(config.read_text())
    content["MODEL"]["RESNETS"]["NUM_GROUPS"] = 32
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=r"other\.yaml describes a ResNet of 32 groups, .* of one of 1:"):
        load_model("auto", weights, tmp_path / "other.yaml")


@pytest.mark.parametrize(
    ("blocks", "bottleneck", "depth"),
    [
        ((3, 4, 6, 3), True, 50),
        ((3, 4, 6, 3), False, 34),
        ((2, 2, 2, 2), False, 18),
        ((3, 4, 23, 3), True, 101),
    ],
)
def test_depth_of_a_resnet_is_read_from_its_blocks(
    blocks: tuple[int, ...], bottleneck: bool, depth: int
) -> None:
    spec = ResNetSpec(64, blocks, (64, 128, 256, 512), (256, 512, 1024, 2048), bottleneck=bottleneck)
    check_resnet(spec, depth, 1, "c.yaml")
    check_resnet(spec, None, None, "c.yaml")
    with pytest.raises(ValueError, match=f"ResNet of 152 layers, but the weights are of one of {depth}:"):
        check_resnet(spec, 152, 1, "c.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bbox_head": {"type": "SOLOHead"}}, "describes a SOLO, but the weights are of a SOLOv2"),
        ({"bbox_head": {"type": "DecoupledSOLOHead"}}, "describes a DecoupledSOLO"),
        ({"backbone": {"type": "ResNet", "depth": 101}}, "describes a ResNet of 101 layers"),
    ],
)
def test_solo_reports_which_head_or_resnet_differs(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    weights, _ = thin_solo.write_thin_checkpoint(tmp_path)
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"model": {"type": "SOLOv2", **changes}}))
    with pytest.raises(ValueError, match=words):
        load_model("auto", weights, tmp_path / "other.yaml")


def test_configuration_of_another_software_is_refused_as_that(tmp_path: Path) -> None:
    solo, _ = thin_solo.write_thin_checkpoint(tmp_path)
    _, yolact_config = thin_yolact.write_thin_checkpoint(tmp_path)
    (tmp_path / "strange.yaml").write_text("shape: x\ncolour: red\n")
    with pytest.raises(ValueError, match=r"no key of mmdetection's.*another software's"):
        load_model("auto", solo, tmp_path / "strange.yaml")
    detectron2, _ = thin_detectron2.write_thin_checkpoint(tmp_path)
    with pytest.raises(ValueError, match=r"no key of Detectron2's.*another software's"):
        load_model("auto", detectron2, yolact_config)


def test_a_misspelt_key_is_reported_with_the_right_one(tmp_path: Path) -> None:
    weights, _ = thin_yolact.write_thin_checkpoint(tmp_path)
    (tmp_path / "typo.yaml").write_text("nms_tresh: 0.4\n")
    with pytest.raises(ValueError, match=r"nms_tresh is not a key .*did you mean nms_thresh"):
        load_model("auto", weights, tmp_path / "typo.yaml")
