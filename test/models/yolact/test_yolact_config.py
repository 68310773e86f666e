# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT configurations are read; unknown or unsupported keys are refused."""

import math
from typing import Any

import pytest
import yaml
from parity import fixture_files, needs_shared

from seg_node.models.yolact.config import PublishedModel, YolactConfig, read_yolact_config


def read(content: dict[str, Any], num_classes: int = 81, **published: bool) -> YolactConfig:
    return read_yolact_config(content, "yolact.yaml", PublishedModel(num_classes, **published))


def test_defaults_are_those_of_the_published_models() -> None:
    config = read({})
    assert config.input_spec.stretch == (550, 550)
    assert config.settings.prior_sizes[0] == (
        (24, 24),
        (24 * math.sqrt(0.5), 24 * math.sqrt(0.5)),  # square: the base models' kept bug
        (24 * math.sqrt(2), 24 * math.sqrt(2)),
    )
    assert [sizes[0][0] for sizes in config.settings.prior_sizes] == [24, 48, 96, 192, 384]
    assert config.settings.candidate_threshold == 0.05
    assert config.settings.candidates_per_class == 200
    options = config.options
    assert (options.score_threshold, options.nms_threshold, options.max_instances) == (0, 0.5, 100)


def test_pascal_has_larger_priors_that_are_not_square() -> None:
    sizes = read({}, num_classes=21).settings.prior_sizes
    assert [level[0] for level in sizes] == [(side, side) for side in (32, 64, 128, 256, 512)]
    assert sizes[0][2] == (32 * math.sqrt(2), 32 / math.sqrt(2))


def test_plus_has_three_scales_a_level() -> None:
    sizes = read({}, plus=True).settings.prior_sizes
    assert [len(level) for level in sizes] == [9] * 5
    assert sizes[1][4] == (48 * 2 ** (1 / 3) * math.sqrt(1 / 2), 48 * 2 ** (1 / 3) / math.sqrt(1 / 2))
    rescored = {"use_maskiou": True, "rescore_mask": True, "maskiou_net": [[8, 3, {"stride": 2}]]}
    assert read(rescored, plus=True).settings.rescore_masks


def test_scales_follow_the_input_size_unless_they_are_given() -> None:
    small = read({"max_size": 400}).settings
    assert [level[0][0] for level in small.prior_sizes] == [17, 34, 69, 139, 279]
    given = read({"max_size": 400, "backbone": {"pred_scales": [[1, 2], [3, 4]]}}).settings
    assert [[round(width, 2) for width, _ in level] for level in given.prior_sizes] == [
        [1, 0.71, 1.41, 2, 1.41, 2.83],
        [3, 2.12, 4.24, 4, 2.83, 5.66],
    ]


@pytest.mark.parametrize(
    ("transform", "darknet", "mean", "std"),
    [
        ({}, False, (123.68, 116.78, 103.94), (58.4, 57.12, 57.38)),
        ({}, True, (0, 0, 0), (255, 255, 255)),
        ({"normalize": True}, True, (123.68, 116.78, 103.94), (58.4, 57.12, 57.38)),
        ({"subtract_means": True}, False, (123.68, 116.78, 103.94), (1, 1, 1)),
        ({"to_float": True, "normalize": False}, False, (0, 0, 0), (255, 255, 255)),
    ],
)
def test_pixels_are_normalised_by_the_backbone_s_transform(
    transform: dict[str, bool], darknet: bool, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    spec = read({"backbone": {"transform": transform}}, darknet=darknet).input_spec
    assert (spec.mean, spec.std, spec.pixel_max) == (mean, std, 1)


def test_thresholds_are_taken_over_and_cross_class_nms_is_not_cut_to_the_best() -> None:
    content = {"nms_thresh": 0.4, "nms_conf_thresh": 0.1, "nms_top_k": 150, "max_num_detections": 30}
    config = read(content)
    assert (config.options.nms_threshold, config.options.max_instances) == (0.4, 30)
    assert (config.settings.candidate_threshold, config.settings.candidates_per_class) == (0.1, 150)
    config = read({**content, "_eval_args": {"cross_class_nms": True, "score_threshold": 0.15}})
    assert config.settings.cross_class_nms
    assert (config.options.max_instances, config.options.score_threshold) == (150, 0.15)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"nms_tresh": 0.5}, "nms_tresh is not a key"),
        ({"backbone": {"colour": 1}}, r"backbone\.colour is not a key"),
        ({"preserve_aspect_ratio": True}, "preserve_aspect_ratio: True is not supported, only False"),
        ({"mask_type": 0}, "mask_type: 0 is not supported"),
        ({"fpn": {"interpolation_mode": "nearest"}}, r"fpn\.interpolation_mode: 'nearest' is not supported"),
        ({"backbone": {"transform": {"channel_order": "BGR"}}}, r"transform\.channel_order: 'BGR'"),
        ({"_eval_args": {"fast_nms": False}}, r"_eval_args\.fast_nms: False is not supported"),
        ({"fpn": 5}, "fpn: 5 does not fit"),
        ({"max_size": "large"}, "max_size: 'large' does not fit"),
        ({"max_size": 10**6}, "max_size: 1000000 does not fit"),
        ({"nms_thresh": float("nan")}, "nms_thresh: nan does not fit"),
        ({"nms_top_k": 0}, "nms_top_k: 0 does not fit"),
        ({"fpn": {"num_downsample": 10**9}}, "num_downsample: 1000000000 does not fit"),
        ({"backbone": {"pred_scales": [[0]] * 5}}, "pred_scales and pred_aspect_ratios do not fit"),
        ({"num_classes": 5}, "num_classes is 5, but the checkpoint has 81"),
        ({"mask_proto_net": [[256, -2, {}]]}, r"mask_proto_net: .*only convolutions and a bilinear"),
        ({"extra_head_net": [[256, 3, {}]]}, r"extra_head_net: .*keep the size"),
        ({"maskiou_net": [[8, 3, {"padding": 1}]]}, "maskiou_net: .*stride 2 without padding"),
        ({"backbone": {"pred_scales": [24, 48]}}, "pred_scales and pred_aspect_ratios do not fit"),
        ({"backbone": {"pred_scales": [[24]], "pred_aspect_ratios": []}}, "pred_scales and .* do not fit"),
    ],
)
def test_what_is_not_understood_is_named(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"yolact\.yaml: {message}"):
        read(content)


@needs_shared
def test_the_reference_s_own_configuration_is_understood() -> None:
    content = yaml.safe_load(fixture_files("yolact")[1].read_text())
    config = read(content)
    assert config.class_names[:2] == ("person", "bicycle")
    assert (config.settings, config.input_spec, config.options) == (
        read({}).settings,
        read({}).input_spec,
        read({}).options,
    )
