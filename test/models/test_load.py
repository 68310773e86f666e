# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files of any spelling are loaded as models; files that do not fit are refused by name."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from seg_node.inference.engine import Engine
from seg_node.models import load
from seg_node.models.files.load_error import LoadError
from seg_node.models.load import load_model
from seg_node.models.model import SegmentationModel
from seg_node.models.rcnn.model import RCNNModel
from seg_node.models.rcnn.network import MaskRCNN, mask_rcnn_r50_fpn, mask_rcnn_r50_fpn_v2
from seg_node.models.rcnn.torchvision import to_checkpoint_name, to_network_name
from seg_node.types import Frame

FIXTURES = Path(__file__).resolve().parents[3] / "shared/fixtures"
Tensors = dict[str, Tensor]

NEW_TO_OLD = {
    "rpn.head.conv.0.0": "rpn.head.conv",
    "roi_heads.box_head.1": "roi_heads.box_head.fc6",
    "roi_heads.box_head.3": "roi_heads.box_head.fc7",
    **{f"backbone.fpn.inner_blocks.{i}.0": f"backbone.fpn.inner_blocks.{i}" for i in range(4)},
    **{f"backbone.fpn.layer_blocks.{i}.0": f"backbone.fpn.layer_blocks.{i}" for i in range(4)},
    **{f"roi_heads.mask_head.{i}.0": f"roi_heads.mask_head.mask_fcn{i + 1}" for i in range(4)},
}


def respell(tensors: Tensors, spelling: dict[str, str]) -> Tensors:
    def respelt(name: str) -> str:
        module, _, parameter = name.rpartition(".")
        return f"{spelling.get(module, module)}.{parameter}"

    return {respelt(name): tensor for name, tensor in tensors.items()}


def answer(model: SegmentationModel[Any, Any]) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    instances = (
        Engine(model, torch.device("cpu")).segment(Frame(pixels, "bgr"), model.default_options).instances
    )
    assert len(instances) > 5
    return instances.boxes_xyxy


@pytest.fixture(scope="module")
def tensors(thin_checkpoint: tuple[Path, Path]) -> Tensors:
    return torch.load(thin_checkpoint[0], weights_only=True)


def test_every_spelling_and_wrapping_gives_the_same_model(
    thin_checkpoint: tuple[Path, Path], tensors: Tensors, tmp_path: Path
) -> None:
    config = thin_checkpoint[1]
    old = respell(tensors, NEW_TO_OLD)
    new = respell(tensors, {old: new for new, old in NEW_TO_OLD.items()})
    assert set(old) != set(new)
    torch.save(old, tmp_path / "old.pth")
    torch.save({"model": new, "epoch": 3, "optimizer": {"state": {}}}, tmp_path / "new.pth")
    save_file(new, tmp_path / "new.safetensors")
    expected = answer(load_model("torchvision", thin_checkpoint[0], config))
    for file in ("old.pth", "new.pth", "new.safetensors"):
        np.testing.assert_array_equal(answer(load_model("auto", tmp_path / file, str(config))), expected)


def test_auto_logs_the_recognised_family(
    thin_checkpoint: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        model = load_model("auto", *thin_checkpoint)
    assert f"{thin_checkpoint[0]}: recognised as a checkpoint of the torchvision family" in caplog.text
    assert model.labels.things[90] == "toothbrush" and model.labels.things[3] == "car"
    assert len(model.labels.things) == 80


def test_checkpoint_with_other_classes_gets_numbers_and_a_warning(
    thin_checkpoint: tuple[Path, Path], tensors: Tensors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = dict(tensors)
    rows = {"box_predictor.cls_score": 5, "box_predictor.bbox_pred": 20, "mask_predictor.mask_fcn_logits": 5}
    for name, tensor in tensors.items():
        module = name.removeprefix("roi_heads.").rpartition(".")[0]
        if module in rows:
            few[name] = tensor[: rows[module]].clone()
    torch.save(few, tmp_path / "few.pth")
    model = load_model("torchvision", tmp_path / "few.pth", thin_checkpoint[1])
    assert model.labels.things == {1: "1", 2: "2", 3: "3", 4: "4"}
    assert "4 classes and no names" in caplog.text


def without(name: str) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.__delitem__(name)


def replaced(name: str, shape: tuple[int, ...]) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            without("backbone.body.conv1.weight"),
            "backbone.body.conv1.weight is missing; in maskrcnn_resnet50_fpn its shape is (64, 3, 7, 7)",
        ),
        (
            without("roi_heads.mask_head.2.0.bias"),
            "roi_heads.mask_head.2.0.bias: missing, expected shape (32,)",
        ),
        (
            without("backbone.body.layer2.1.bn1.bias"),
            "backbone.body.layer2.1.bn1.bias: missing, expected shape (128,)",
        ),
        (
            without("roi_heads.box_predictor.cls_score.weight"),
            "cls_score.weight is missing; in maskrcnn_resnet50_fpn its shape is (91, 1024)",
        ),
        (
            replaced("rpn.head.cls_logits.weight", (5, 32, 1, 1)),
            "rpn.head.cls_logits.weight: shape (5, 32, 1, 1), expected (3, 32, 1, 1)",
        ),
        (
            replaced("backbone.body.layer1.0.conv2.weight", (64, 7, 3, 3)),
            "backbone.body.layer1.0.conv2.weight: shape (64, 7, 3, 3), expected (64, 64, 3, 3)",
        ),
        (replaced("backbone.body.layer1.0.conv1.weight", ()), "not a Mask R-CNN of torchvision's kind"),
        (
            replaced("roi_heads.keypoint_head.0.weight", (1,)),
            "roi_heads.keypoint_head.0.weight: not part of this architecture",
        ),
    ],
)
def test_tensor_that_does_not_fit_is_named_with_its_shape(
    damage: Callable[[Tensors], None],
    message: str,
    thin_checkpoint: tuple[Path, Path],
    tensors: Tensors,
    tmp_path: Path,
) -> None:
    damaged = dict(tensors)
    damage(damaged)
    torch.save(damaged, tmp_path / "damaged.pth")
    with pytest.raises(ValueError, match=rf"damaged\.pth: .*{re.escape(message)}"):
        load_model("torchvision", tmp_path / "damaged.pth", thin_checkpoint[1])


def test_network_far_larger_than_its_file_is_refused_before_it_takes_memory(
    thin_checkpoint: tuple[Path, Path], tensors: Tensors, tmp_path: Path
) -> None:
    """A pyramid with 20 000 channels has layers of 14 GB."""
    changed = dict(tensors)
    name = "backbone.fpn.layer_blocks.0.0.weight"
    changed[name] = torch.zeros(20_000, *tensors[name].shape[1:])
    torch.save(changed, tmp_path / "wide.pth")
    with pytest.raises(LoadError, match=r"wide\.pth: backbone\.fpn\..*expected \(20000,"):
        load_model("torchvision", tmp_path / "wide.pth", thin_checkpoint[1])


def test_layers_without_end_are_refused(tensors: Tensors, tmp_path: Path) -> None:
    number = torch.zeros(1)
    blocks = {f"backbone.body.layer1.{i}.conv1.weight": number for i in range(10_000)}
    torch.save({**blocks, **tensors}, tmp_path / "deep.pth")
    with pytest.raises(LoadError, match=r"deep\.pth: .*10000 layers are named .*, of at most 200"):
        load_model("auto", tmp_path / "deep.pth")


def test_quantised_weights_are_refused(tensors: Tensors, tmp_path: Path) -> None:
    name = "backbone.body.layer1.0.conv1.weight"
    torch.save({**tensors, name: tensors[name].to(torch.int8)}, tmp_path / "int8.pth")
    with pytest.raises(LoadError, match=rf"int8\.pth: {name}: holds torch\.int8, expected floats"):
        load_model("auto", tmp_path / "int8.pth")


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("hostile_was_here"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.zeros(1), "b": Hostile()}, "not a plain PyTorch checkpoint"),
        ([torch.zeros(1)], "holds a list"),
        ({}, "holds a dict"),
        ({"weights": 3}, "'weights' is not a tensor"),
        ({"encoder.weight": torch.zeros(2)}, r"tensors \(encoder\.weight, …\) are of no known family"),
    ],
)
def test_file_of_another_kind_is_refused_and_runs_nothing(
    content: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "model.pth")
    with pytest.raises(ValueError, match=rf"model\.pth: .*{message}"):
        load_model("auto", "model.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", bytes(1000)])
def test_damaged_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        load_model("auto", tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("box_threshold: 0.5", "key 'box_threshold' is not known; known: .*box_score_thresh"),
        ("min_size: large", "min_size: 'large' does not fit"),
        ("model: {type: MaskRCNN}", "config.yaml: has no settings; known: .*min_size"),
        ("min_size: 100000", "min_size: 100000 does not fit .expected a whole number from 0 to 8192"),
        ("max_size: 0", "max_size: 0 does not fit"),
        ("box_nms_thresh: .nan", "box_nms_thresh: nan does not fit"),
        ("image_std: [1, 0, 1]", "image_std: .* does not fit .expected three numbers above 0"),
        ("anchor_ratios: [.inf]", "anchor_ratios: .* does not fit"),
        ("box_detections_per_img: 1000000000000", "box_detections_per_img: .* does not fit"),
        ("mask_threshold: [0.5]", "mask_threshold: .* does not fit"),
        ("image_mean: [0.5, 0.5]", "image_mean: .* does not fit"),
        ("anchor_sizes: [[32], [64]]", "anchor_sizes has 2 rows, the pyramid 5 levels"),
        ("num_classes: 21", "91 classes, but .*config.yaml says 21"),
        ("class_names: [mug, bowl]", "thin.pth: 2 class names for 90 classes"),
        ("class_names: mug", "class_names: 'mug' does not fit"),
        ("- 1", "holds a list"),
        ("a: [", "not a YAML file"),
    ],
)
def test_configuration_that_does_not_fit_is_refused_by_key(
    text: str, message: str, thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_model("torchvision", thin_checkpoint[0], tmp_path / "config.yaml")


def test_every_configuration_key_reaches_the_model(
    thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    values = {
        "min_size": 64, "max_size": 70, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6],
        "anchor_sizes": [[1], [2], [3], [4], [5]], "anchor_ratios": [1, 2, 3],
        "rpn_pre_nms_top_n_test": 11, "rpn_post_nms_top_n_test": 12, "rpn_nms_thresh": 0.13,
        "box_score_thresh": 0.14, "box_nms_thresh": 0.15, "box_detections_per_img": 16,
        "mask_threshold": ">= 0.17", "frozen_bn_eps": 0.18, "num_classes": 91, "thin": {"box_fc": 64},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    model = load_model("torchvision", thin_checkpoint[0], tmp_path / "config.yaml")
    assert isinstance(model, RCNNModel)
    spec, options, settings = model.input_spec, model.default_options, model.network.rpn.settings
    assert (spec.min_size, spec.max_size, spec.mean, spec.std) == (64, 70, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert settings.anchor_sizes == ((1,), (2,), (3,), (4,), (5,)) and settings.anchor_ratios == (1, 2, 3)
    assert (settings.proposals_per_level, settings.proposals, settings.proposal_nms_threshold) == (
        11,
        12,
        0.13,
    )
    assert (options.score_threshold, options.nms_threshold, options.max_instances) == (0.14, 0.15, 16)
    assert options.mask_threshold == 0.17
    assert model.network.backbone.bn1.eps == 0.18


def test_embedded_model_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "EMBEDDED_WEIGHTS", tmp_path / "embedded.safetensors")
    for family in ("auto", "embedded"):
        with pytest.raises(
            FileNotFoundError, match=r"embedded\.safetensors: .* missing from this installation"
        ):
            load_model(family)


def test_damaged_metadata_is_refused(tensors: Tensors, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "own.safetensors", {"config": "{min_size"})
    with pytest.raises(ValueError, match=r"own\.safetensors: its metadata 'config' is damaged"):
        load_model("auto", tmp_path / "own.safetensors")


def test_weights_that_are_not_there_are_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEG_NODE_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="seg_node fetch-weights maskrcnn_resnet50_fpn_v2"):
        load_model("torchvision", "maskrcnn_resnet50_fpn_v2")
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        load_model("torchvision", tmp_path / "absent.pth")
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml"):
        load_model("torchvision", tmp_path / "absent.pth", tmp_path / "absent.yaml")
    with pytest.raises(ValueError, match="needs a weights file"):
        load_model("torchvision")
    with pytest.raises(ValueError, match="'tensorflow' is not known; known: auto, embedded, torchvision"):
        load_model("tensorflow")


@pytest.mark.skipif(not FIXTURES.exists(), reason="../shared is absent")
@pytest.mark.parametrize(
    ("listing", "build"),
    [
        ("tv_maskrcnn_v1/keys_fullsize.txt", mask_rcnn_r50_fpn),
        ("tv_maskrcnn_v1/keys_fullsize_published.txt", mask_rcnn_r50_fpn),
        ("tv_maskrcnn_v2/keys_fullsize.txt", mask_rcnn_r50_fpn_v2),
    ],
)
def test_full_size_architecture_has_exactly_the_published_tensors(
    listing: str, build: Callable[[], MaskRCNN]
) -> None:
    lines = [line for line in (FIXTURES / listing).read_text().splitlines() if not line.startswith("#")]
    published = dict(line.removesuffix(" float32").removesuffix(" int64").split(" ", 1) for line in lines)
    with torch.device("meta"):
        ours = {name: str(tuple(tensor.shape)) for name, tensor in build().state_dict().items()}
    assert {to_network_name(name): shape for name, shape in published.items()} == ours
    assert {to_checkpoint_name(name) for name in ours} == {
        to_checkpoint_name(to_network_name(name)) for name in published
    }


def test_family_that_the_file_is_not_of_is_refused_by_its_own(thin_checkpoint: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="a checkpoint of the torchvision family, not of solo"):
        load_model("solo", thin_checkpoint[0])


def test_config_without_weights_is_refused(thin_checkpoint: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"thin\.yaml is given without its weights"):
        load_model("auto", None, thin_checkpoint[1])


def test_folder_and_hub_name_are_answered_with_what_to_give(thin_checkpoint: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"a folder without .* name the file in it: thin\.pth"):
        load_model("auto", thin_checkpoint[0].parent)
    with pytest.raises(FileNotFoundError, match="hf download facebook/detr --local-dir FOLDER"):
        load_model("auto", "facebook/detr")
