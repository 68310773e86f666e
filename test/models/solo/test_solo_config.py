# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Configurations of WXinlong/SOLO, mmdetection 2 and 3 and AdelaiDet → settings of a SOLO."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from thin_solo import thin_config, thin_tensors

from seg_node.labels import COCO_THING_NAMES
from seg_node.models.files.checkpoint import Checkpoint
from seg_node.models.files.config_file import read_config
from seg_node.models.solo.adelaidet_config import read_adelaidet_config
from seg_node.models.solo.checkpoint import load_solo
from seg_node.models.solo.config import read_openmmlab_config
from seg_node.models.solo.model import SoloModel
from seg_node.models.solo.settings import PUBLISHED, SoloConfig, SoloSettings
from seg_node.preprocess.prepare import InputSpec
from seg_node.types import LabelSet, SegmentOptions

MMDETECTION_3_BASE = """
test_cfg = dict(type='TestLoop')
backend_args = None
model = dict(
    type='SOLOv2',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True,
        pad_mask=True, pad_size_divisor=32),
    backbone=dict(
        type='ResNet', depth=50, num_stages=4, out_indices=(0, 1, 2, 3), frozen_stages=1,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'), style='caffe'),
    neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, start_level=0, num_outs=5),
    mask_head=dict(
        type='SOLOV2Head', num_classes=7, in_channels=256, feat_channels=512, stacked_convs=4,
        strides=[8, 8, 16, 32, 64], num_grids=[20, 18, 12, 8, 6], cls_down_index=0,
        mask_feature_head=dict(
            feat_channels=128, start_level=0, end_level=3, out_channels=256, mask_stride=4,
            norm_cfg=dict(type='GN', num_groups=32, requires_grad=True))),
    test_cfg=dict(
        nms_pre=300, score_thr=0.2, mask_thr=0.4, filter_thr=0.15, kernel='linear', sigma=3.0,
        max_per_img=50))
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='PackDetInputs')]
test_dataloader = dict(dataset=dict(
    pipeline=test_pipeline, metainfo=dict(classes=('a', 'b', 'c', 'd', 'e', 'f', 'g'))))
"""
MMDETECTION_3_LIGHT = """
_base_ = './base.py'
model = dict(mask_head=dict(stacked_convs=2))
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args={{_base_.backend_args}}),
    dict(type='Resize', scale=(448, 768), keep_ratio=True),
    dict(type='PackDetInputs')]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""
MMDETECTION_2 = """
img_norm_cfg = dict(mean=[10, 20, 30], std=[1.0, 1.0, 1.0], to_rgb=False)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug', img_scale=(852, 512), flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'),
            dict(type='Normalize', **img_norm_cfg), dict(type='Pad', size_divisor=64),
            dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'])])]
data = dict(samples_per_gpu=2, test=dict(type='CocoDataset', pipeline=test_pipeline))
model = dict(type='SOLO', mask_head=dict(type='DecoupledSOLOLightHead', num_classes=80))
"""


def read(content: dict[str, Any], num_classes: int = 80) -> SoloConfig:
    return read_openmmlab_config(content, "solo.py", PUBLISHED, num_classes)


def load(metadata: Mapping[str, Any] = MappingProxyType({}), labels: LabelSet | None = None) -> SoloModel:
    """Load a checkpoint without a configuration file."""
    return load_solo(Checkpoint(Path("solo.pth"), thin_tensors(), metadata), {}, "None", labels)


def test_an_empty_configuration_is_that_of_the_published_models() -> None:
    assert read({}) == PUBLISHED
    assert PUBLISHED.options == SegmentOptions(0.0, max_instances=100, mask_threshold=0.5)


def test_mmdetection_3_is_read_over_its_base(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text(MMDETECTION_3_BASE)
    (tmp_path / "light.py").write_text(MMDETECTION_3_LIGHT)
    config = read(read_config(tmp_path / "light.py"), num_classes=7)
    assert config.settings == SoloSettings(
        grids=(20, 18, 12, 8, 6),
        strides=(8, 8, 16, 32, 64),
        score_threshold=0.2,
        update_threshold=0.15,
        nms_candidates=300,
        nms="linear",
        sigma=3.0,
    )
    assert config.input_spec == InputSpec("rgb", (1, 2, 3), (4, 5, 6), 1, "opencv", 448, 768)
    assert config.options == SegmentOptions(0.0, mask_threshold=0.4, max_instances=50)
    assert config.stride_in_1x1
    assert config.class_names == tuple("abcdefg")


def test_mmdetection_2_is_read(tmp_path: Path) -> None:
    (tmp_path / "solo.py").write_text(MMDETECTION_2)
    config = read(read_config(tmp_path / "solo.py"))
    expected = InputSpec("bgr", (10, 20, 30), (1, 1, 1), 1, "opencv", 512, 852, multiple=64)
    assert config.input_spec == expected
    assert config.settings == SoloSettings()
    assert not config.stride_in_1x1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"backbone": {"type": "Res2Net"}}}, "backbone.type: 'Res2Net' is not supported"),
        ({"model": {"backbone": {"deep_stem": True}}}, "backbone.deep_stem: True is not supported"),
        ({"model": {"neck": {"add_extra_convs": True}}}, "neck.add_extra_convs: True is not supported"),
        ({"model": {"bbox_head": {"cate_down_pos": 2}}}, "head.cate_down_pos: 2 is not supported"),
        ({"model": {"bbox_head": {"attention": 2}}}, "head.attention is not known"),
        ({"model": {"bbox_head": {"num_classes": 21}}}, "num_classes is 21, but the checkpoint has 80"),
        ({"model": {"bbox_head": {"num_grids": [40, 36]}}}, "num_grids: .* does not fit"),
        ({"test_cfg": {"kernel": "box"}}, "test_cfg.kernel: 'box' is not supported"),
        ({"test_cfg": {"nms_pre": 0}}, "nms_pre: 0 does not fit"),
        ({"test_cfg": {"iou_thr": 0.5}}, "test_cfg.iou_thr is not known"),
        ({"test_pipeline": [{"type": "Mosaic"}]}, "the step Mosaic of the test pipeline is not supported"),
        ({"test_pipeline": [{"type": "Resize", "scale": [1, 2]}]}, "keep_ratio: False is not supported"),
        ({"test_pipeline": [{"type": "Pad", "size_divisor": 48}]}, "size_divisor: 48 does not fit"),
        (
            {"test_pipeline": [{"type": "MultiScaleFlipAug", "img_scale": [[9, 9], [8, 8]]}]},
            "img_scale: .* does not fit .expected one size",
        ),
        ({"model": {"bbox_head": {"num_grids": [10**6] * 5}}}, "num_grids: .* from 1 to 1024"),
        ({"test_cfg": {"score_thr": float("nan")}}, "score_thr: nan does not fit"),
        ({"test_cfg": {"max_per_img": 10**12}}, "max_per_img: .* does not fit"),
        ({"test_pipeline": [{"type": "Resize", "img_scale": [10**6, 9]}]}, "img_scale: .* does not fit"),
        ({"test_pipeline": 5}, "its test pipeline is a int, not a list of steps"),
        ({"test_pipeline": [{"type": "MultiScaleFlipAug", "transforms": 5}]}, "is not a list of steps"),
        ({"img_norm_cfg": {"std": [0, 1, 1]}}, "std: .*expected three numbers above 0"),
        ({"model": {"bbox_head": []}, "data": [1]}, "data holds a list, expected keys with values"),
        ({"classes": [["cup"]]}, "class names are not a list of texts"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"solo.py: .*{message}"):
        read(content)


def test_other_unknown_keys_are_named_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    read({"optimizer": {}, "my_thing": 3, "_source_config": "x"})
    assert [record.getMessage() for record in caplog.records] == [
        "solo.py: not understood and ignored: my_thing"
    ]


def test_adelaidet_is_read() -> None:
    content = {
        "INPUT": {"MIN_SIZE_TEST": 600},
        "MODEL": {
            "META_ARCHITECTURE": "SOLOv2",
            "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
            "RESNETS": {"OUT_FEATURES": ["res2", "res3", "res4", "res5"], "STRIDE_IN_1X1": False},
            "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"]},
            "SOLOV2": {
                **{"NUM_GRIDS": [9, 8, 7, 6, 5], "SCORE_THR": 0.3, "UPDATE_THR": 0.2, "NMS_PRE": 200},
                **{"NMS_SIGMA": 1, "NMS_TYPE": "mask", "MASK_THR": 0.6, "MAX_PER_IMG": 20, "NORM": "GN"},
            },
        },
    }
    config = read_adelaidet_config(content, "solo.yaml", 80)
    assert config.settings == SoloSettings(
        grids=(9, 8, 7, 6, 5),
        score_threshold=0.3,
        update_threshold=0.2,
        nms_candidates=200,
        nms="hard",
        sigma=1.0,
        mask_stride=None,
    )
    assert config.options == SegmentOptions(0.0, nms_threshold=0.6, mask_threshold=0.6, max_instances=20)
    assert (config.input_spec.min_size, config.input_spec.resize) == (600, "pillow")
    assert not config.stride_in_1x1


def test_adelaidet_without_a_file_is_the_published_model() -> None:
    config = read_adelaidet_config({}, "None", 80)
    assert config.settings == SoloSettings(mask_stride=None)
    assert config.stride_in_1x1
    assert config.input_spec.channels == "bgr"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("NMS_TYPE", "box", "NMS_TYPE: 'box' is not supported"),
        ("USE_COORD_CONV", False, "USE_COORD_CONV: False is not supported"),
        ("NUM_CLASSES", 20, "NUM_CLASSES is 20, but the checkpoint has 80"),
        ("NMS_PRE", "many", "NMS_PRE: 'many' does not fit"),
        ("SCORE_THR", float("nan"), "SCORE_THR: nan does not fit"),
        ("NUM_GRIDS", [10**6] * 5, "NUM_GRIDS: .* does not fit"),
    ],
)
def test_adelaidet_s_other_ways_are_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"solo.yaml: MODEL.SOLOV2.{message}"):
        read_adelaidet_config({"MODEL": {"SOLOV2": {key: value}}}, "solo.yaml", 80)


def test_the_configuration_inside_a_checkpoint_is_used() -> None:
    text = f"configs/solo.py\ntest_cfg = dict(score_thr=0.3, max_per_img=9)\nmodel = {thin_config()['model']}"
    model = load({"meta": {"config": text, "CLASSES": [f"kind {i}" for i in range(80)]}})
    assert model.network.settings.score_threshold == 0.3
    assert model.default_options.max_instances == 9
    assert model.labels.name(7) == "kind 7"


def test_class_names_of_mmdetection_3_are_used_but_the_user_s_come_first() -> None:
    underscored = [name.replace(" ", "_") for name in COCO_THING_NAMES]
    meta = {"meta": {"dataset_meta": {"classes": underscored, "palette": []}}}
    assert load(meta).labels.name(9) == "traffic light"
    mine = LabelSet({i: f"mine {i}" for i in range(80)})
    assert load(meta, mine).labels.name(9) == "mine 9"


def test_settings_assumed_for_a_checkpoint_alone_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        model = load()
    assert (model.input_spec.min_size, model.input_spec.max_size) == (448, 768)
    assert "at most 768 and 448 pixels" in caplog.text


def test_a_damaged_configuration_inside_a_checkpoint_is_named(caplog: pytest.LogCaptureFixture) -> None:
    assert load({"meta": {"cfg": "model = dict("}}).network.settings == SoloSettings()
    assert "the configuration inside the checkpoint cannot be read" in caplog.text
