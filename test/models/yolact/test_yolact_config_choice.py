# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT's Python file of many configurations: the one of the weights is read, and nothing is run."""

import logging
from pathlib import Path
from typing import Any

import pytest
import thin_yolact

from seg_node.models.files.config_file import read_config
from seg_node.models.load import load_model
from seg_node.models.yolact.config_choice import choose_yolact_config

# in the form of the reference's file, with the thin model's numbers
CONFIG = """
from backbone import ResNetBackbone
import torch

NAMES = ('cup', 'bowl')

class Config(object):
    def __init__(self, config_dict):
        for key, val in config_dict.items():
            self.__setattr__(key, val)

dataset_base = Config({'name': 'Base', 'class_names': NAMES, 'label_map': {1: 1, 2: 2}})
mask_type = Config({'direct': 0, 'lincomb': 1})
activation_func = Config({
    'tanh': torch.tanh, 'relu': lambda x: torch.nn.functional.relu(x, inplace=True), 'none': lambda x: x})
backbone_base = Config({'name': 'Body', 'type': object, 'args': tuple(), 'use_pixel_scales': False})
resnet_backbone = backbone_base.copy({
    'type': ResNetBackbone, 'args': ([1, 1, 2, 1],), 'pred_scales': [[1]] * 5})
base_config = Config({
    'dataset': dataset_base, 'num_classes': 81, 'max_size': 300, 'mask_type': mask_type.direct,
    'mask_proto_prototype_activation': activation_func.relu,
    'mask_proto_coeff_activation': activation_func.tanh,
    'mask_alpha': 0.4 / 256 * 140 * 140, 'backbone': None, 'fpn': None, 'share_prediction_module': False})
yolact_thin_config = base_config.copy({
    'name': 'yolact_thin', 'num_classes': len(dataset_base.class_names) + 1, 'max_size': 138,
    'mask_type': mask_type.lincomb, 'share_prediction_module': True,
    'mask_proto_net':
        [(16, 3, {'padding': 1})] * 3 + [(None, -2, {}), (16, 3, {'padding': 1})] + [(8, 1, {})],
    'backbone': resnet_backbone.copy({
        'selected_layers': list(range(1, 4)), 'use_pixel_scales': True, 'preapply_sqrt': False,
        'use_square_anchors': True, 'pred_aspect_ratios': [ [[1, 1/2, 2]] ] * 5,
        'pred_scales': [[6], [12], [24], [48], [96]]})})
yolact_im400_config = yolact_thin_config.copy({
    'max_size': 400,
    'backbone': yolact_thin_config.backbone.copy({
        'pred_scales': [[int(x[0] / yolact_thin_config.max_size * 400)]
                        for x in yolact_thin_config.backbone.pred_scales]})})
cfg = yolact_im400_config.copy()

def set_cfg(config_name):
    global cfg
    cfg.replace(eval(config_name))
"""


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "config.py").write_text(CONFIG)
    return read_config(tmp_path / "config.py")


def test_all_of_the_file_that_is_data_is_read(content: dict[str, Any]) -> None:
    thin, larger = content["yolact_thin_config"], content["cfg"]
    assert (thin["max_size"], thin["num_classes"], thin["mask_type"]) == (138, 3, 1)
    assert thin["mask_proto_prototype_activation"] == "relu" and thin["backbone"]["type"] == "ResNetBackbone"
    assert thin["mask_proto_net"][3] == [None, -2, {}] and thin["backbone"]["args"] == [[1, 1, 2, 1]]
    assert larger["max_size"] == 400
    assert larger["backbone"]["pred_scales"] == [[17], [34], [69], [139], [278]]  # int(6 / 138 * 400), …


@pytest.mark.parametrize(
    ("weights", "size"),
    [("yolact_thin_54_800000.pth", 138), ("yolact_thin_3_40_interrupt.pth", 138), ("mine.pth", 400)],
)
def test_name_of_the_weights_chooses_as_in_the_reference(
    weights: str, size: int, content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert choose_yolact_config(content, "config.py", weights)["max_size"] == size
    assert f" for {weights}" in caplog.text


def test_file_without_a_choice_is_refused_and_other_content_stays(content: dict[str, Any]) -> None:
    del content["cfg"]
    with pytest.raises(ValueError, match=r"config\.py: no mine_config, .*known: base_config, yolact"):
        choose_yolact_config(content, "config.py", "mine.pth")
    assert choose_yolact_config({"max_size": 3}, "c.yaml", "mine.pth") == {"max_size": 3}


def test_a_model_is_loaded_with_its_own_configuration_file(tmp_path: Path) -> None:
    weights, _ = thin_yolact.write_thin_checkpoint(tmp_path)
    names = "NAMES = (" + ", ".join(f"'class {i}'" for i in range(80)) + ")"
    (tmp_path / "config.py").write_text(CONFIG.replace("NAMES = ('cup', 'bowl')", names))
    model = load_model("auto", weights, tmp_path / "config.py")
    assert model.input_spec.stretch == (138, 138) and model.labels.things[79] == "class 79"
