# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT checkpoints match the reference's recorded results, full-size names, and a plain network."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from parity import (
    CPU,
    FIXTURES,
    IMAGES,
    assert_agrees,
    assert_recorded,
    fixture_files,
    full_size_tensors,
    needs_shared,
    read_frame,
    read_outputs,
    segment_fixture,
)
from photograph import photograph
from thin_yolact import FPN, SIZE, Weights, add_heads, darknet, load, resnet, thin, write_thin_checkpoint
from torch import Tensor

from seg_node.inference.engine import Engine
from seg_node.models.files.checkpoint import Checkpoint, read_checkpoint
from seg_node.models.yolact.checkpoint import is_yolact, load_yolact
from seg_node.models.yolact.model import YolactModel
from seg_node.types import LabelSet

COCO_SCALES = {400: (17, 34, 69, 139, 279), 550: (24, 48, 96, 192, 384), 700: (30, 61, 122, 244, 488)}


@pytest.fixture(scope="module")
def fixture_model() -> YolactModel:
    weights, config = fixture_files("yolact")
    return load_yolact(read_checkpoint(weights), yaml.safe_load(config.read_text()), str(config))


@needs_shared
@pytest.mark.parametrize("image", IMAGES)
def test_answers_are_the_reference_s(fixture_model: YolactModel, image: str) -> None:
    found = segment_fixture(fixture_model, image).instances
    expected = read_outputs("yolact", image)
    assert_agrees(found, expected, expected["boxes_int"])


@needs_shared
@pytest.mark.parametrize("image", IMAGES)
def test_every_step_is_the_reference_s(fixture_model: YolactModel, image: str) -> None:
    network, options = fixture_model.network, fixture_model.default_options
    with torch.inference_mode():
        batch = fixture_model.prepare([read_frame(image)], CPU)
        stages = network.backbone(batch.pixels)
        maps = network.fpn(stages[1:])
        output = network(batch.pixels)
        (raw,) = fixture_model(batch, options)
    steps = {
        **{f"c/{i}": stage for i, stage in enumerate(stages, start=2)},
        **{f"fpn/{i}": level for i, level in enumerate(maps)},
        "input": batch.pixels,
        "priors": network.priors,
        "loc": output.loc,
        "conf": output.class_probs,
        "mask": output.coefficients,
        "proto": output.prototypes,
    }
    for name, value in steps.items():
        exact = name in ("input", "priors")
        assert_recorded("yolact", image, name, value, atol=0 if exact else 3e-5)
    expected = read_outputs("yolact", image)
    np.testing.assert_allclose(raw.boxes_rel, expected["boxes_rel"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(raw.coefficients, expected["coef"], rtol=0, atol=1e-5)


@needs_shared
@pytest.mark.parametrize("listing", ["", "_yolact_base", "_yolact_darknet53"])
def test_full_size_checkpoints_load_with_nothing_left_over(listing: str) -> None:
    tensors = full_size_tensors(FIXTURES / f"yolact/keys_fullsize{listing}.txt")
    assert is_yolact(Checkpoint(Path("yolact.pth"), tensors))
    model = load(tensors)
    ours = sum(value.numel() for value in model.network.state_dict().values())
    training_only = sum(tensors[f"semantic_seg_conv.{kind}"].numel() for kind in ("weight", "bias"))
    assert ours + training_only == sum(value.numel() for value in tensors.values())
    assert model.network.priors.shape == (19248, 4)
    assert model.labels.name(79) == "toothbrush"


def plain_darknet_yolact(tensors: Mapping[str, Tensor], pixels: Tensor) -> dict[str, Tensor]:
    """Run YOLACT on DarkNet from its state dict, convolution by convolution."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = tensors[f"{name}.weight"]
        return F.conv2d(x, weight, tensors.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    def unit(x: Tensor, name: str, stride: int = 1) -> Tensor:
        mean, variance, scale, shift = (
            tensors[f"{name}.1.{key}"][:, None, None]
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        x = (conv(x, f"{name}.0", stride) - mean) / (variance + 1e-5).sqrt() * scale + shift
        return torch.where(x > 0, x, x * 0.1)

    def bilinear(x: Tensor, size: Any) -> Tensor:
        return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)

    x, stages = unit(pixels, "backbone._preconv"), []
    for stage, blocks in enumerate((1, 1, 2, 1, 1)):
        x = unit(x, f"backbone.layers.{stage}.0", 2)
        for block in range(1, blocks + 1):
            name = f"backbone.layers.{stage}.{block}"
            x = x + unit(unit(x, f"{name}.conv1"), f"{name}.conv2")
        stages.append(x)
    c5 = conv(stages[4], "fpn.lat_layers.0")
    c4 = bilinear(c5, stages[3].shape[2:]) + conv(stages[3], "fpn.lat_layers.1")
    c3 = bilinear(c4, stages[2].shape[2:]) + conv(stages[2], "fpn.lat_layers.2")
    maps = [F.relu(conv(c, f"fpn.pred_layers.{i}")) for c, i in ((c3, 2), (c4, 1), (c5, 0))]
    maps += [conv(maps[2], "fpn.downsample_layers.0", 2)]
    maps += [conv(maps[3], "fpn.downsample_layers.1", 2)]
    proto = maps[0]
    for number in (0, 2, 4):
        proto = F.relu(conv(proto, f"proto_net.{number}"))
    proto = bilinear(proto, (2 * side for side in proto.shape[2:]))
    proto = F.relu(conv(F.relu(conv(proto, "proto_net.8")), "proto_net.10"))
    head = "prediction_layers.0"
    parts: dict[str, list[Tensor]] = {"bbox": [], "conf": [], "mask": []}
    for level in maps:
        shared = F.relu(conv(level, f"{head}.upfeature.0"))
        for kind, size in (("bbox", 4), ("conf", 81), ("mask", 8)):
            y = conv(shared, f"{head}.{kind}_layer")[0]
            parts[kind] += [y[:, i, j].view(3, size) for i in range(y.shape[1]) for j in range(y.shape[2])]
    loc, logits, coefficients = (torch.cat(rows) for rows in parts.values())
    return {
        "loc": loc,
        "class_probs": logits.softmax(1),
        "coefficients": coefficients.tanh(),
        "prototypes": proto[0].permute(1, 2, 0),
    }


def test_network_on_darknet_computes_what_a_plain_one_does() -> None:
    weights = Weights(2)
    add_heads(weights, darknet(weights))
    model = load(weights, {"max_size": 102})
    with torch.inference_mode():
        pixels = model.prepare([photograph(80, 120)], CPU).pixels
        expected = plain_darknet_yolact(weights, pixels)
        output = model.network(pixels)
    assert pixels.shape == (1, 3, 102, 102)
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(output, name)[0], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_darknet_sees_colours_from_zero_to_one_and_resnet_sees_them_normalised() -> None:
    weights = Weights(2)
    add_heads(weights, darknet(weights))
    frame = photograph(50, 60)
    red, blue = float(frame.pixels[..., 2].mean()), float(frame.pixels[..., 0].mean())
    plain = load(weights, {"max_size": 100}).prepare([frame], CPU).pixels[0].mean(dim=(1, 2))
    np.testing.assert_allclose([plain[0], plain[2]], [red / 255, blue / 255], atol=0.02)
    normal = thin().prepare([frame], CPU).pixels[0].mean(dim=(1, 2))
    np.testing.assert_allclose(
        [normal[0], normal[2]], [(red - 123.68) / 58.4, (blue - 103.94) / 57.38], atol=0.1
    )


def test_training_tensors_are_dropped_and_the_rest_must_fit() -> None:
    weights = Weights(1)
    add_heads(weights, resnet(weights))
    old = {"backbone.layer1.0.conv1.weight": torch.zeros(1), "fpn.downsample_layers.2.bias": torch.zeros(FPN)}
    load({**weights, **old}, {"max_size": SIZE})
    with pytest.raises(ValueError, match=r"yolact\.pth.*backbone\.layers\.1\.0\.bn1\.running_var: missing"):
        load({name: t for name, t in weights.items() if name != "backbone.layers.1.0.bn1.running_var"})
    with pytest.raises(ValueError, match=r"yolact\.pth.*backbone\.conv1\.weight is missing"):
        load({name: t for name, t in weights.items() if name != "backbone.conv1.weight"})
    with pytest.raises(ValueError, match=r"surprise\.weight: not part of this architecture"):
        load({**weights, "surprise.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"yolact\.pth: not a YOLACT of dbolya"):
        load({**weights, "prediction_layers.0.bbox_layer.weight": torch.tensor(1.0)})
    with pytest.raises(ValueError, match=r"yolact\.yaml: nms_thresh: 'half'"):
        load(weights, {"nms_thresh": "half"})
    with pytest.raises(ValueError, match=r"yolact\.pth: .*5 levels of 3 priors"):
        load(weights, {"backbone": {"pred_scales": [[24, 30]] * 5}})


@pytest.mark.parametrize("size", [400, 550, 700])
def test_without_a_configuration_the_size_in_the_file_name_is_used_and_logged(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    weights = Weights(1)
    add_heads(weights, resnet(weights))
    name = {400: "yolact_im400_54_800000.pth", 550: "mine.pth", 700: "yolact_im700_54_800000.pth"}[size]
    with caplog.at_level(logging.WARNING):
        model = load(weights, name=name)
    assert f"{size}x{size}" in caplog.text
    assert model.input_spec.stretch == (size, size)
    assert [sizes[0] for sizes in model.settings.prior_sizes] == [(s, s) for s in COCO_SCALES[size]]


def test_layers_without_end_are_refused() -> None:
    weights = Weights(1)
    add_heads(weights, resnet(weights))
    weights["proto_net.99999999999.weight"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"yolact\.pth: .*a layer proto_net\.99999999999, of at most 100"):
        load(weights)


def test_classes_are_named_by_the_configuration_the_user_or_pascal() -> None:
    names = ["mug", "bowl"]
    assert thin(num_classes=3, dataset={"class_names": names}).labels.things == {0: "mug", 1: "bowl"}
    assert thin(num_classes=21).labels.name(19) == "tvmonitor"
    weights = Weights(1)
    add_heads(weights, resnet(weights), 3)
    given = LabelSet({0: "cup", 1: "plate"})
    checkpoint = Checkpoint(Path("w.pth"), weights)
    assert load_yolact(checkpoint, {"max_size": SIZE}, "c.yaml", given).labels.things == given.things
    with pytest.raises(ValueError, match=r"yolact\.pth: 1 class names for 2"):
        thin(num_classes=3, dataset={"class_names": "mug"})


def test_thin_checkpoint_answers_and_its_things_fill_the_panoptic_map(tmp_path: Path) -> None:
    weights, config = write_thin_checkpoint(tmp_path)
    model = load_yolact(read_checkpoint(weights), yaml.safe_load(config.read_text()), str(config))
    segmentation = Engine(model, CPU).segment(photograph(120, 160), model.default_options)
    found = segmentation.instances
    assert len(found) == 100
    assert found.ids.tolist() == list(range(1, 101))
    assert np.all(np.diff(found.scores) <= 0)
    assert np.array_equal(found.boxes_xyxy, found.boxes_xyxy.round())
    assert segmentation.panoptic is not None
    assert len(segmentation.panoptic.segments) > 3
    assert all(segment.is_thing for segment in segmentation.panoptic.segments)


def test_one_frame_and_a_batch_of_several_give_the_same() -> None:
    model = thin()
    frames = [photograph(120, 160), photograph(60, 90)]
    options = replace(model.default_options, max_instances=20)
    with torch.inference_mode():
        together = model(model.prepare(frames, CPU), options)
        for frame, batched in zip(frames, together, strict=True):
            (alone,) = model(model.prepare([frame], CPU), options)
            assert alone.class_ids.tolist() == batched.class_ids.tolist()
            np.testing.assert_allclose(alone.scores, batched.scores, atol=1e-5)


def test_min_area_leaves_out_small_masks() -> None:
    model, frame = thin(), photograph(120, 160)
    areas = [mask.area for mask in Engine(model, CPU).segment(frame, model.default_options).instances.masks]
    options = replace(model.default_options, min_area=50)
    masks = Engine(model, CPU).segment(frame, options).instances.masks
    assert [mask.area for mask in masks] == [area for area in areas if area >= 50]
    assert 0 < len(masks) < len(areas)
