# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN gives the results of torchvision's in one process, with random weights that find objects."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from photograph import photograph
from safetensors.torch import save_file
from thin_torchvision import light_maskrcnn, make_lively
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.mask_rcnn import MaskRCNN
from torchvision.models.resnet import resnet50
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from seg_node.inference.engine import Engine
from seg_node.models.layers.efficientnet_lite import OUT_CHANNELS, EfficientNetLite0
from seg_node.models.load import load_model
from seg_node.preprocess.prepare import prepare_frames
from seg_node.types import Frame, Instances, MaskCrop

SHARED_IMAGES = Path(__file__).resolve().parents[4] / "shared/fixtures/images"
CPU = torch.device("cpu")
FROZEN = partial(FrozenBatchNorm2d, eps=0.0)
SMALL: dict[str, Any] = {
    "min_size": 160,
    "max_size": 256,
    "rpn_pre_nms_top_n_test": 200,
    "rpn_post_nms_top_n_test": 60,
}


def v1(**options: Any) -> nn.Module:
    """Build the network like torchvision does for its published weights."""
    return MaskRCNN(_resnet_fpn_extractor(resnet50(weights=None, norm_layer=FROZEN), 0), **options)


def v2(**options: Any) -> nn.Module:
    return maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, **options)


def load_ours(theirs: nn.Module, folder: Path, **config: Any) -> Engine:
    """Load the model from files, like a user."""
    torch.save(theirs.state_dict(), folder / "weights.pth")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return Engine(load_model("auto", folder / "weights.pth", folder / "config.yaml"), CPU)


def ask_torchvision(model: nn.Module, frame: Frame) -> dict[str, Tensor]:
    rgb = torch.from_numpy(frame.pixels[..., ::-1].copy())
    with torch.inference_mode():
        return model.eval()([rgb.permute(2, 0, 1).contiguous() / 255])[0]


def ask_ours(engine: Engine, frame: Frame, **changes: Any) -> Instances:
    return engine.segment(frame, replace(engine.default_options, **changes)).instances


def full(mask: MaskCrop, image_size: tuple[int, int]) -> NDArray[np.bool_]:
    image = np.zeros(image_size, np.bool_)
    height, width = mask.pixels.shape
    image[mask.y_offset : mask.y_offset + height, mask.x_offset : mask.x_offset + width] = mask.pixels
    return image


def assert_equal(ours: Instances, theirs: dict[str, Tensor], image_size: tuple[int, int]) -> None:
    assert ours.class_ids.tolist() == theirs["labels"].tolist()
    # the target is 1e-3 px and 1e-5; in one process any difference shows a missed rule
    np.testing.assert_allclose(ours.boxes_xyxy, theirs["boxes"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours.scores, theirs["scores"], rtol=0, atol=1e-6)
    for mask, probs in zip(ours.masks, theirs["masks"], strict=True):
        np.testing.assert_array_equal(full(mask, image_size), probs[0].numpy() >= 0.5)


@pytest.mark.parametrize("build", [v1, v2])
def test_full_size_models_agree_with_torchvision(build: Callable[..., nn.Module], tmp_path: Path) -> None:
    options = {**SMALL, "box_detections_per_img": 20}
    theirs = build(num_classes=6, **options)
    make_lively(theirs, 0)
    ours = load_ours(theirs, tmp_path, **options)
    for frame in (photograph(150, 190), photograph(201, 120)):
        expected = ask_torchvision(theirs, frame)
        assert len(expected["scores"]) > 5
        assert_equal(ask_ours(ours, frame), expected, frame.image_size)


@pytest.fixture(scope="module")
def light_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Engine]:
    theirs = light_maskrcnn(FROZEN, num_classes=91, **SMALL)
    make_lively(theirs, 1)
    return theirs, load_ours(theirs, tmp_path_factory.mktemp("light"), **SMALL)


@pytest.mark.parametrize("size", [(97, 131), (240, 100), (100, 300), (11, 17), (480, 640)])
def test_images_of_any_shape_agree_with_torchvision(
    light_pair: tuple[nn.Module, Engine], size: tuple[int, int]
) -> None:
    theirs, ours = light_pair
    frame = photograph(*size)
    expected = ask_torchvision(theirs, frame)
    assert len(expected["scores"]) > 5
    assert_equal(ask_ours(ours, frame), expected, size)


def test_batch_of_several_images_agrees_with_torchvision(light_pair: tuple[nn.Module, Engine]) -> None:
    theirs, ours = light_pair
    frames = [photograph(120, 160), photograph(150, 100), photograph(120, 160)]
    model, options = ours._model, ours.default_options
    with torch.inference_mode():
        expected = theirs(
            [torch.from_numpy(f.pixels[..., ::-1].copy()).permute(2, 0, 1) / 255 for f in frames]
        )
        raw = model(prepare_frames(frames, model.input_spec, CPU), options)
    for frame, one, answer in zip(frames, raw, expected, strict=True):
        found = model.assemble(one, frame.image_size, options).instances
        assert_equal(found, answer, frame.image_size)


@pytest.mark.skipif(not SHARED_IMAGES.exists(), reason="../shared is absent")
def test_real_photographs_agree_with_torchvision(light_pair: tuple[nn.Module, Engine]) -> None:
    theirs, ours = light_pair
    for path in sorted(SHARED_IMAGES.glob("*.png")):
        frame = Frame(cv2.imread(str(path)), "bgr")
        assert_equal(ask_ours(ours, frame), ask_torchvision(theirs, frame), frame.image_size)


@pytest.mark.parametrize(
    ("theirs_option", "changes", "count"),
    [
        ({"score_thresh": 0.99999}, {"score_threshold": 0.99999}, 0),
        ({"detections_per_img": 1}, {"max_instances": 1}, 1),
        ({"nms_thresh": 0.1}, {"nms_threshold": 0.1}, None),
        ({"nms_thresh": 0.9}, {"nms_threshold": 0.9}, None),
    ],
)
def test_thresholds_mean_what_they_mean_in_torchvision(
    light_pair: tuple[nn.Module, Engine],
    theirs_option: dict[str, Any],
    changes: dict[str, Any],
    count: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, ours = light_pair
    for name, value in theirs_option.items():
        monkeypatch.setattr(theirs.roi_heads, name, value)
    frame = photograph(120, 160)
    expected = ask_torchvision(theirs, frame)
    assert count in (None, len(expected["scores"]))
    assert_equal(ask_ours(ours, frame, **changes), expected, frame.image_size)


def test_batch_norms_that_were_not_frozen_are_computed_as_such(tmp_path: Path) -> None:
    theirs = light_maskrcnn(nn.BatchNorm2d, num_classes=4, **SMALL)
    make_lively(theirs, 2)
    frame = photograph(120, 160)
    expected = ask_torchvision(theirs, frame)
    assert len(expected["scores"]) > 5
    assert_equal(ask_ours(load_ours(theirs, tmp_path, **SMALL), frame), expected, frame.image_size)


class LiteBackbone(nn.Module):
    """EfficientNet-Lite as backbone instead of torchvision's ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 32
        self.body = EfficientNetLite0(norm=True)
        self.fpn = FeaturePyramidNetwork(list(OUT_CHANNELS), 32, LastLevelMaxPool())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.fpn({str(i): feature for i, feature in enumerate(self.body(x))})


def test_light_backbone_and_the_settings_in_its_file_agree_with_torchvision(tmp_path: Path) -> None:
    anchors = AnchorGenerator(((10,), (20,), (40,), (80,), (120,)), ((0.4, 1.0, 2.5),) * 5)
    options = {**SMALL, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.5, 0.4, 0.3], "box_score_thresh": 0.1}
    theirs = MaskRCNN(LiteBackbone(), num_classes=4, rpn_anchor_generator=anchors, **options)
    make_lively(theirs, 4)
    metadata = {
        **options,
        "anchor_sizes": [[10], [20], [40], [80], [120]],
        "anchor_ratios": [0.4, 1, 2.5],
        "class_names": ["mug", "bowl", "box"],
    }
    save_file(theirs.state_dict(), tmp_path / "light.safetensors", {"config": json.dumps(metadata)})
    ours = Engine(load_model("auto", tmp_path / "light.safetensors"), CPU)
    assert ours.labels.things == {1: "mug", 2: "bowl", 3: "box"}
    frame = photograph(180, 140)
    expected = ask_torchvision(theirs, frame)
    assert len(expected["scores"]) > 5
    assert_equal(ask_ours(ours, frame), expected, frame.image_size)


def test_frozen_bn_eps_is_an_option(tmp_path: Path) -> None:
    theirs = light_maskrcnn(partial(FrozenBatchNorm2d, eps=0.1), num_classes=4, **SMALL)
    make_lively(theirs, 3)
    frame = photograph(120, 160)
    ours = load_ours(theirs, tmp_path, **SMALL, frozen_bn_eps=0.1)
    assert_equal(ask_ours(ours, frame), ask_torchvision(theirs, frame), frame.image_size)
