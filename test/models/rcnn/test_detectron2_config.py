# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Detectron2's and AdelaiDet's configurations: each key that changes results is applied or refused."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from parity import FIXTURES, needs_shared

from seg_node.models.files.config_file import read_config
from seg_node.models.files.detectron2 import read_trunk
from seg_node.models.rcnn.detectron2_config import (
    Detectron2Config,
    read_detectron2_config,
)
from seg_node.models.rcnn.settings import DETECTRON2_SETTINGS

# the shape of the model zoo's files
ZOO = {
    "Base-RCNN-FPN.yaml": """
MODEL:
  META_ARCHITECTURE: "GeneralizedRCNN"
  BACKBONE:
    NAME: "build_resnet_fpn_backbone"
  RESNETS:
    OUT_FEATURES: ["res2", "res3", "res4", "res5"]
  FPN:
    IN_FEATURES: ["res2", "res3", "res4", "res5"]
  ANCHOR_GENERATOR:
    SIZES: [[32], [64], [128], [256], [512]]
    ASPECT_RATIOS: [[0.5, 1.0, 2.0]]
  RPN:
    IN_FEATURES: ["p2", "p3", "p4", "p5", "p6"]
    PRE_NMS_TOPK_TRAIN: 2000
    PRE_NMS_TOPK_TEST: 1000
    POST_NMS_TOPK_TEST: 1000
  ROI_HEADS:
    NAME: "StandardROIHeads"
    IN_FEATURES: ["p2", "p3", "p4", "p5"]
  ROI_BOX_HEAD:
    NAME: "FastRCNNConvFCHead"
    NUM_FC: 2
    POOLER_RESOLUTION: 7
  ROI_MASK_HEAD:
    NAME: "MaskRCNNConvUpsampleHead"
    NUM_CONV: 4
    POOLER_RESOLUTION: 14
DATASETS:
  TEST: ("coco_2017_val",)
SOLVER:
  STEPS: (60000, 80000)
INPUT:
  MIN_SIZE_TRAIN: (640, 672, 704)
VERSION: 2
""",
    "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml": """
_BASE_: "../Base-RCNN-FPN.yaml"
MODEL:
  WEIGHTS: "detectron2://ImageNetPretrained/MSRA/R-50.pkl"
  MASK_ON: True
  RESNETS:
    DEPTH: 50
""",
    "COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x.yaml": """
_BASE_: "../Base-RCNN-FPN.yaml"
MODEL:
  MASK_ON: True
  PIXEL_STD: [57.375, 57.120, 58.395]
  RESNETS:
    STRIDE_IN_1X1: False  # this is a C2 model
    NUM_GROUPS: 32
    WIDTH_PER_GROUP: 8
    DEPTH: 101
""",
    "COCO-PanopticSegmentation/panoptic_fpn_R_50_3x.yaml": """
_BASE_: "../Base-RCNN-FPN.yaml"
MODEL:
  META_ARCHITECTURE: "PanopticFPN"
  MASK_ON: True
  SEM_SEG_HEAD:
    LOSS_WEIGHT: 0.5
    NUM_CLASSES: 54
DATASETS:
  TEST: ("coco_2017_val_panoptic_separated",)
""",
}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    for name, text in ZOO.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def read_zoo(zoo: Path, name: str) -> Detectron2Config:
    (path,) = zoo.glob(f"*/{name}_3x.yaml")
    return read_detectron2_config(read_config(path), str(path))


def changed(key: str, value: Any) -> dict[str, Any]:
    """Return the published Mask R-CNN's configuration with one key changed."""
    content = yaml.safe_load(ZOO["Base-RCNN-FPN.yaml"])
    content["MODEL"]["MASK_ON"] = True
    *sections, last = key.split(".")
    inner = content
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[last] = value
    return content


def test_no_configuration_is_that_of_the_published_models(zoo: Path) -> None:
    for name, is_resnext in (("mask_rcnn_R_50_FPN", False), ("mask_rcnn_X_101_32x8d_FPN", True)):
        said, unsaid = read_zoo(zoo, name), read_detectron2_config({}, "None", is_resnext)
        for part in ("settings", "input_spec", "options", "stride_in_1x1", "num_things"):
            assert getattr(said, part) == getattr(unsaid, part)


def test_files_of_the_zoo_say_what_detectron2_makes_of_them(
    zoo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = read_zoo(zoo, "mask_rcnn_R_50_FPN")
    assert config.settings == DETECTRON2_SETTINGS and config.stride_in_1x1
    spec = config.input_spec
    assert (spec.channels, spec.mean, spec.std) == ("bgr", (103.53, 116.28, 123.675), (1, 1, 1))
    assert (spec.pixel_max, spec.resize, spec.stretch) == (1, "pillow", None)
    assert (spec.min_size, spec.max_size, spec.multiple) == (800, 1333, 32)
    options = config.options
    assert (options.score_threshold, options.nms_threshold, options.max_instances) == (0.05, 0.5, 100)
    x101 = read_zoo(zoo, "mask_rcnn_X_101_32x8d_FPN")
    assert not x101.stride_in_1x1 and x101.input_spec.std == (57.375, 57.12, 58.395)
    panoptic = read_zoo(zoo, "panoptic_fpn_R_50")
    assert (panoptic.meta_architecture, panoptic.num_stuff) == ("PanopticFPN", 53)
    assert not caplog.messages


HONOURED = [
    ("INPUT.FORMAT", "RGB", "input_spec.channels", "rgb"),
    ("INPUT.MIN_SIZE_TEST", 0, "input_spec.min_size", 0),
    ("INPUT.MAX_SIZE_TEST", 700, "input_spec.max_size", 700),
    ("MODEL.PIXEL_MEAN", [1, 2, 3.5], "input_spec.mean", (1, 2, 3.5)),
    ("MODEL.PIXEL_STD", "(4., 5., 6.)", "input_spec.std", (4, 5, 6)),
    ("MODEL.RESNETS.STRIDE_IN_1X1", False, "stride_in_1x1", False),
    ("MODEL.META_ARCHITECTURE", "PanopticFPN", "meta_architecture", "PanopticFPN"),
    ("MODEL.ANCHOR_GENERATOR.SIZES", [[8], [16], [32], [64], [99]], "settings.anchor_sizes",
     ((8,), (16,), (32,), (64,), (99,))),
    ("MODEL.ANCHOR_GENERATOR.SIZES", [[8, 9]], "settings.anchor_sizes", ((8, 9),) * 5),
    ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[1.0, 3.0]], "settings.anchor_ratios", (1, 3)),
    ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[1.0, 3.0]] * 5, "settings.anchor_ratios", (1, 3)),
    ("MODEL.ANCHOR_GENERATOR.OFFSET", 0.5, "settings.anchor_offset", 0.5),
    ("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 4, "settings.proposal_min_side",
     np.nextafter(np.float32(4), np.float32(5))),
    ("MODEL.RPN.PRE_NMS_TOPK_TEST", 11, "settings.proposals_per_level", 11),
    ("MODEL.RPN.POST_NMS_TOPK_TEST", 12, "settings.proposals", 12),
    ("MODEL.RPN.NMS_THRESH", 0.13, "settings.proposal_nms_threshold", 0.13),
    ("MODEL.RPN.BBOX_REG_WEIGHTS", [1, 2, 3, 4], "settings.proposal_box_weights", (1, 2, 3, 4)),
    ("MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS", "(1, 2, 3, 4)", "settings.box_weights", (1, 2, 3, 4)),
    ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.14, "options.score_threshold", 0.14),
    ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "1e-3", "options.score_threshold", 0.001),
    ("MODEL.ROI_HEADS.NMS_THRESH_TEST", 0.15, "options.nms_threshold", 0.15),
    ("MODEL.ROI_HEADS.NUM_CLASSES", 3, "num_things", 3),
    ("TEST.DETECTIONS_PER_IMAGE", 16, "options.max_instances", 16),
    ("MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH", 0.17,
     "options.panoptic_score_threshold", 0.17),
    ("MODEL.PANOPTIC_FPN.COMBINE.OVERLAP_THRESH", 0.18, "options.panoptic_overlap_threshold", 0.18),
    ("MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT", 19, "options.panoptic_stuff_min_area", 19),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "path", "expected"), HONOURED)
def test_key_reaches_its_place(key: str, value: Any, path: str, expected: Any) -> None:
    found: Any = read_detectron2_config(changed(key, value), "c.yaml")
    for name in path.split("."):
        found = getattr(found, name)
    assert found == expected


def test_both_poolers_are_set_together() -> None:
    for key, value, expected in (("TYPE", "ROIAlign", (False, 0)), ("SAMPLING_RATIO", 2, (True, 2))):
        content = changed(f"MODEL.ROI_BOX_HEAD.POOLER_{key}", value)
        with pytest.raises(
            ValueError, match=rf"ROI_MASK_HEAD\.POOLER_{key}: .* is not supported; supported: '?{value}"
        ):
            read_detectron2_config(content, "c.yaml")
        content["MODEL"]["ROI_MASK_HEAD"][f"POOLER_{key}"] = value
        settings = read_detectron2_config(content, "c.yaml").settings
        assert (settings.roi_aligned, settings.roi_sampling_ratio) == expected


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("VERSION", 1, "supported: 2"),
        (
            "MODEL.META_ARCHITECTURE",
            "RetinaNet",
            "'RetinaNet' is not supported; supported: 'GeneralizedRCNN'",
        ),
        ("MODEL.MASK_ON", False, "False is not supported; supported: True"),
        ("MODEL.KEYPOINT_ON", True, "supported: False"),
        ("MODEL.LOAD_PROPOSALS", True, "supported: False"),
        ("MODEL.BACKBONE.NAME", "build_resnet_backbone", "supported: 'build_resnet_fpn_backbone'"),
        ("MODEL.RESNETS.NORM", "LN", "supported: 'FrozenBN'"),
        ("MODEL.RESNETS.OUT_FEATURES", ["res3", "res4", "res5"], "supported: .'res2'"),
        ("MODEL.RESNETS.RES5_DILATION", 2, "supported: 1"),
        ("MODEL.RESNETS.DEFORM_ON_PER_STAGE", [False, True, True, True], "supported: .False"),
        ("MODEL.FPN.NORM", "LN", "supported: ''"),
        ("MODEL.FPN.FUSE_TYPE", "avg", "supported: 'sum'"),
        ("MODEL.PROPOSAL_GENERATOR.NAME", "RRPN", "supported: 'RPN'"),
        ("MODEL.ANCHOR_GENERATOR.NAME", "RotatedAnchorGenerator", "supported: 'DefaultAnchorGenerator'"),
        ("MODEL.RPN.HEAD_NAME", "MyHead", "supported: 'StandardRPNHead'"),
        ("MODEL.RPN.CONV_DIMS", [-1, -1], "supported: .-1."),
        ("MODEL.RPN.IN_FEATURES", ["res4"], "supported: .'p2'"),
        ("MODEL.ROI_HEADS.NAME", "CascadeROIHeads", "supported: 'StandardROIHeads'"),
        ("MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE", True, "supported: False"),
        ("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", 14, "supported: 7"),
        ("MODEL.ROI_BOX_HEAD.NORM", "LN", "supported: ''"),
        ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIPool", "does not fit"),
        ("MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION", 7, "supported: 14"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[8], [16]], "must have 1 or 5 rows"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [8, [16]], "does not fit"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [], "does not fit"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[0]], "expected numbers above 0"),
        ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[1.0], [2.0]], "expected the same for all levels"),
        ("MODEL.PIXEL_STD", [1.0, 0.0, 1.0], "expected three numbers above 0"),
        ("MODEL.RPN.NMS_THRESH", float("nan"), "expected a number from"),
        ("MODEL.RPN.PRE_NMS_TOPK_TEST", 10**12, "expected a whole number from 0 to 100000"),
        ("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", 10**6, "expected a whole number from 0 to 64"),
        ("INPUT.MIN_SIZE_TEST", 10**6, "expected a whole number from 0 to 8192"),
        ("INPUT.FORMAT", "YUV-BT.601", "expected BGR or RGB"),
        ("INPUT.MIN_SIZE_TEST", 0.5, "expected a whole number"),
        ("INPUT.MIN_SIZE_TEST", float("inf"), "does not fit"),
        ("MODEL.PIXEL_MEAN", [1.0], "does not fit"),
        ("MODEL.ROI_HEADS.NUM_CLASSES", "many", "'many' does not fit"),
    ],
)
def test_value_that_is_not_supported_is_refused_with_its_key(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"c\.yaml: {key}:? .*{message}"):
        read_detectron2_config(changed(key, value), "c.yaml")


@pytest.mark.parametrize("flat", [[0.5, 1.0, 2.0], "(0.5, 1.0, 2.0)"])
def test_anchors_without_inner_brackets_are_one_row_for_all_levels(flat: Any) -> None:
    """Rows are broadcast like in Detectron2's `_broadcast_params`."""
    ratios = read_detectron2_config(changed("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", flat), "c.yaml").settings
    assert ratios.anchor_ratios == (0.5, 1.0, 2.0)
    sizes = read_detectron2_config(changed("MODEL.ANCHOR_GENERATOR.SIZES", [32, 64]), "c.yaml").settings
    assert sizes.anchor_sizes == ((32.0, 64.0),) * 5
    one = read_detectron2_config(changed("MODEL.ANCHOR_GENERATOR.SIZES", [64]), "c.yaml").settings
    assert one.anchor_sizes == ((64.0,),) * 5


def test_semantic_head_is_checked_only_where_there_is_one() -> None:
    content = changed("MODEL.SEM_SEG_HEAD.NORM", "LN")
    assert read_detectron2_config(content, "c.yaml").num_stuff is None
    content["MODEL"]["META_ARCHITECTURE"] = "PanopticFPN"
    with pytest.raises(ValueError, match=r"SEM_SEG_HEAD\.NORM: 'LN' is not supported; supported: 'GN'"):
        read_detectron2_config(content, "c.yaml")


def test_keys_that_the_tensors_determine_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    content = changed("MODEL.FPN.NORM", "GN")
    content["MODEL"]["RESNETS"]["NORM"] = content["MODEL"]["ROI_MASK_HEAD"]["NORM"] = "GN"
    content["MODEL"]["ROI_BOX_HEAD"] |= {
        "NORM": "GN",
        "NUM_CONV": 4,
        "NUM_FC": 1,
        "CLS_AGNOSTIC_BBOX_REG": True,
    }
    assert read_detectron2_config(content, "c.yaml") == read_detectron2_config(
        changed("MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", True), "c.yaml"
    )
    assert not caplog.messages


def test_missing_base_is_suggested() -> None:
    with pytest.raises(
        ValueError, match=r"'build_resnet_backbone' \(Detectron2's default; is the file's _BASE_ missing"
    ):
        read_detectron2_config({"MODEL": {"MASK_ON": True}}, "c.yaml")


def test_keys_that_are_not_known_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    content = changed("MODEL.RPN.MY_KEY", 1)
    content |= {"MINE": {"A": 1}, "_fixture": {"x": 1}, "SOLVER": {"ANYTHING": 2}}
    with caplog.at_level(logging.WARNING):
        read_detectron2_config(content, "c.yaml")
    assert caplog.messages == ["c.yaml: not understood and ignored: MODEL.RPN.MY_KEY, MINE.A"]


def test_input_alone_does_not_ask_for_detectors() -> None:
    content = changed("MODEL.META_ARCHITECTURE", "SOLOv2") | {"INPUT": {"MIN_SIZE_TEST": 640}}
    content["MODEL"] |= {"SOLOV2": {"NUM_GRIDS": [40]}, "MASK_ON": False, "PIXEL_STD": [1, 2, 3]}
    trunk = read_trunk(content, "c.yaml")
    spec = trunk.input_spec
    assert (spec.min_size, spec.std, spec.resize, trunk.stride_in_1x1) == (640, (1, 2, 3), "pillow", True)
    assert read_trunk({}, "None").input_spec == read_detectron2_config({}, "None").input_spec
    content["MODEL"]["BACKBONE"]["ANTI_ALIAS"] = True
    with pytest.raises(ValueError, match=r"ANTI_ALIAS: True is not supported; supported: False"):
        read_trunk(content, "c.yaml")


def leaves(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


@needs_shared
@pytest.mark.parametrize("family", ["d2_maskrcnn", "d2_panoptic", "adet_solov2"])
def test_whole_dumped_configurations_are_understood(family: str, caplog: pytest.LogCaptureFixture) -> None:
    files = [*FIXTURES.glob(f"{family}/config*.yaml"), FIXTURES / family / "seed0/config.yaml"]
    for file in files:
        content = read_config(file)
        assert len(leaves(content)) > 150
        if family == "adet_solov2":
            read_trunk(content, str(file))
            continue
        config = read_detectron2_config(content, str(file))
        is_resnext = "X_101" in file.name
        published = read_detectron2_config({}, "None", is_resnext)
        assert config.settings == published.settings and config.input_spec == published.input_spec
        assert config.options == published.options and config.stride_in_1x1 == (not is_resnext)
        assert config.num_things == 80 and config.num_stuff == (53 if family == "d2_panoptic" else None)
    assert not caplog.messages
