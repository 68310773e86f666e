# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the rfdetr package give what their network gives from a folder, or are refused by name."""

import json
import logging
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from parity import CPU, full
from torch import Tensor

transformers = pytest.importorskip("transformers")
if not hasattr(transformers, "RfDetrForInstanceSegmentation"):
    pytest.skip("needs a transformers with RF-DETR", allow_module_level=True)

from thin_rf_detr import (  # noqa: E402
    NAMES,
    QUERIES,
    SETTINGS,
    rf_detr_network,
    rfdetr_tensors,
    write_rf_detr_folder,
    write_rfdetr_checkpoint,
)

from seg_node.inference.engine import Engine  # noqa: E402
from seg_node.labels import COCO_THING_NAMES, COCO_THINGS  # noqa: E402
from seg_node.models.files.load_error import LoadError  # noqa: E402
from seg_node.models.load import load_model  # noqa: E402
from seg_node.models.transformers.rf_detr import RfDetrModel  # noqa: E402
from seg_node.types import Frame, Instances  # noqa: E402

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


def load(file: Path, **arguments: Any) -> RfDetrModel:
    model = load_model("auto", file, **arguments)
    assert isinstance(model, RfDetrModel)
    return model


def find(model: RfDetrModel) -> Instances:
    options = replace(model.default_options, score_threshold=0.1)
    return Engine(model, CPU).segment(Frame(PIXELS, "rgb"), options).instances


def assert_same(found: Instances, expected: Instances) -> None:
    assert found.class_ids.tolist() == expected.class_ids.tolist()
    assert np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.boxes_xyxy, expected.boxes_xyxy)
    for mask, theirs in zip(found.masks, expected.masks, strict=True):
        assert np.array_equal(full(mask, PIXELS.shape[:2]), full(theirs, PIXELS.shape[:2]))


def as_lightning(file: Path) -> None:
    """Rewrite as Lightning's last.ckpt: prefixed tensors, no entry `model`."""
    content = torch.load(file, weights_only=True)
    tensors = content.pop("model")
    torch.save({**content, "state_dict": {f"model.{name}": t for name, t in tensors.items()}}, file)


def as_export(file: Path) -> None:
    """Rewrite with settings as older versions of rfdetr do: in a namespace, none of the model's own."""
    content = torch.load(file, weights_only=True)
    settings = {**content.pop("model_config"), **content["args"], "output_dir": Path("/tmp/x")}
    torch.save({**content, "args": Namespace(**settings)}, file)


def in_half(file: Path) -> None:
    content = torch.load(file, weights_only=True)
    assert all((t.half().float() == t).all() for t in content["model"].values())
    torch.save({**content, "model": {name: t.half() for name, t in content["model"].items()}}, file)


@pytest.mark.parametrize("rewrite", [None, as_lightning, as_export])
def test_a_checkpoint_finds_what_the_same_network_finds_from_a_folder(
    rewrite: Callable[[Path], None] | None, tmp_path: Path
) -> None:
    expected = find(load(write_rf_detr_folder(tmp_path / "folder")))
    file = write_rfdetr_checkpoint(tmp_path / "checkpoint_best_total.pth")
    if rewrite is not None:
        rewrite(file)
    model = load(file)
    assert_same(find(model), expected)
    assert len(expected) > 5
    assert model.labels.things == dict(enumerate(NAMES[:-1])) and not model.labels.stuff
    assert (model.top_k, model.default_options.max_instances) == (QUERIES, QUERIES)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    network = rf_detr_network().half().float()
    file = write_rfdetr_checkpoint(tmp_path / "x.pth", network)
    expected = find(load(file))
    in_half(file)
    assert_same(find(load(file)), expected)


def test_the_package_finds_the_same(tmp_path: Path) -> None:
    rfdetr = pytest.importorskip("rfdetr", reason="compares with the rfdetr package, which is not installed")
    import PIL.Image
    from rfdetr.config import RFDETRSegNanoConfig
    from rfdetr.inference import _build_model_context

    torch.manual_seed(0)
    settings = RFDETRSegNanoConfig(
        pretrain_weights=None, device="cpu", num_classes=5, resolution=96, positional_encoding_size=8,
        num_windows=2, num_queries=12, num_select=9, group_detr=2, dec_layers=2,
    )  # fmt: skip
    network = _build_model_context(settings).model
    for name, tensor in network.named_parameters():
        if "class_embed" in name:
            torch.nn.init.normal_(tensor, -1.0 if name.endswith("bias") else 0.0, 0.12)
        elif "bbox_embed" in name and tensor.ndim > 1:
            torch.nn.init.normal_(tensor, 0, 0.05)
    entries = {"args": {"class_names": list("abcde")}, "model_name": "RFDETRSegNano"}
    file = tmp_path / "x.pth"
    torch.save({"model": network.state_dict(), "model_config": settings.model_dump(), **entries}, file)
    model = load(file)
    package = rfdetr.RFDETRSegNano.from_checkpoint(file, device="cpu")
    some = 0
    for size in ((48, 80), (200, 150)):
        pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
        expected = package.predict(PIL.Image.fromarray(pixels), threshold=0.2)
        expected = expected[expected.mask.any(axis=(1, 2))]
        options = replace(model.default_options, score_threshold=0.2)
        found = Engine(model, CPU).segment(Frame(pixels, "rgb"), options).instances
        assert found.class_ids.tolist() == expected.class_id.tolist()
        np.testing.assert_allclose(found.scores, expected.confidence, rtol=0, atol=1e-4)
        np.testing.assert_allclose(found.boxes_xyxy, expected.xyxy, rtol=0, atol=1e-3)
        for mask, theirs in zip(found.masks, expected.mask, strict=True):
            assert np.count_nonzero(full(mask, size) != theirs) <= 1e-4 * theirs.size
        some += len(found)
    assert some > 5


def test_a_head_with_cocos_rows_has_cocos_ids(tmp_path: Path) -> None:
    network = rf_detr_network(91)
    for names in (None, list(COCO_THING_NAMES)):
        file = write_rfdetr_checkpoint(tmp_path / "coco.pth", network, args={"class_names": names})
        assert load(file).labels == COCO_THINGS


def test_cocos_names_on_a_head_of_their_number_count_from_zero(tmp_path: Path) -> None:
    file = write_rfdetr_checkpoint(
        tmp_path / "coco.pth", rf_detr_network(81), args={"class_names": list(COCO_THING_NAMES)}
    )
    assert load(file).labels.things == dict(enumerate(COCO_THING_NAMES))


def test_other_names_are_numbered_from_zero(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_rfdetr_checkpoint(tmp_path / "x.pth", args={"class_names": ["mug", None, "bowl"]})
    assert load(file).labels.things == {0: "mug", 1: "bowl"}  # the package skips what is no text
    file = write_rfdetr_checkpoint(tmp_path / "x.pth", args=None)
    with caplog.at_level(logging.WARNING, "seg_node"):
        assert load(file).labels.things == {i: str(i) for i in range(5)}
    assert "5 classes and no names" in caplog.text
    labels = tmp_path / "labels.yaml"
    labels.write_text("things: [pen, nib]")
    assert load(file, labels=labels).labels.things == {0: "pen", 1: "nib", 2: "2", 3: "3", 4: "4"}


def test_settings_of_the_training_replace_the_checkpoints(tmp_path: Path) -> None:
    file = write_rfdetr_checkpoint(tmp_path / "x.pth", args=None, model_config={})
    config = tmp_path / "training_config.json"
    config.write_text(json.dumps({"model_config": {**SETTINGS, "num_select": 3}, "class_names": ["pen"]}))
    model = load(file, config=config)
    assert model.top_k == 3 and model.labels.things == {0: "pen"}
    assert len(find(model)) == 3
    config.write_text(json.dumps({"model_config": {**SETTINGS, "sa_nheads": "many"}}))
    with pytest.raises(LoadError, match="sa_nheads: 'many' does not fit"):
        load(file, config=config)


def test_published_files_without_settings_have_those_of_their_size(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = rfdetr_tensors(rf_detr_network())
    tensors = {name: t for name, t in tensors.items() if "encoder.layer.3." not in name}
    file = tmp_path / "rf-detr-seg-small.pt"
    torch.save({"model": tensors}, file)
    with (
        caplog.at_level(logging.WARNING, "seg_node"),
        pytest.raises(LoadError, match=r"rf-detr-seg-small\.pt"),  # a published one has twelve layers
    ):
        load(file)
    assert "stores no settings of the model: those of the published RF-DETR-Seg of 64 pixels" in caplog.text


def groups(count: int) -> dict[str, Tensor]:
    return {f"transformer.enc_output.{i}.weight": torch.ones(32, 32) for i in range(count)}


def keypoints() -> dict[str, Tensor]:
    return {"_kp_active_mask": torch.ones(1, 17, dtype=torch.bool)}


def with_lora(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("0.encoder.", "0.encoder.base_model.model."): t for name, t in tensors.items()}


def without(part: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without("segmentation_head"), "an RF-DETR without a segmentation head .* no masks"),
        (without("class_embed.bias"), r"\d tensors are missing or of another shape: .*class_embed\.bias"),
        (without("class_embed.weight"), r"class_embed\.weight is missing"),
        (without("position_embeddings"), "position_embeddings is missing"),
        (lambda t: {**t, **groups(201)}, "201 modules like .*enc_output.*, of at most 200"),
        (without("decoder.layers."), r"transformer\.decoder\.layers\.0.* is missing"),
        (lambda t: {**t, "odd.weight": torch.ones(1)}, "odd.weight are not part of an RF-DETR-Seg"),
        (lambda t: {**t, "class_embed.bias": torch.ones(9)}, r"another shape: .*class_embed\.bias"),
        (lambda t: {**keypoints(), **t, "class_embed.bias": torch.ones(6).char()}, "torch.int8, expected"),
        (lambda t: {**t, "refpoint_embed.weight": torch.ones(0, 4)}, ""),
        (lambda t: {**t, "class_embed.weight": torch.ones(0, 32)}, ""),
        (lambda t: {**t, "query_feat.weight": torch.ones(())}, r"another shape: .*query_feat\.weight"),
        (lambda t: {**t, "transformer.enc_output.0.weight": torch.ones(())}, "not those of an RF-DETR"),
        (with_lora, "LoRA adapters"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_refused(
    edit: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str, tmp_path: Path
) -> None:
    file = write_rfdetr_checkpoint(tmp_path / "x.pth", model=edit(rfdetr_tensors(rf_detr_network())))
    with pytest.raises(LoadError, match=rf"x\.pth.*{message}"):
        load_model("auto", file)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"projector_scale": ["P3", "P5"]},
            r"projector_scale is \['P3', 'P5'\]; only RF-DETRs with \['P4'\]",
        ),
        ({"num_channels": 4}, "num_channels is 4"),
        ({"two_stage": False}, "two_stage is False"),
        ({"num_windows": 0}, "num_windows: 0 does not fit"),
        ({"num_windows": 3}, "input is 64x64.* multiples of 24"),
        ({"resolution": 10**9}, "resolution: 1000000000 does not fit"),
        ({"resolution": 100}, "input is 100x100.* multiples of 16"),
        ({"out_feature_indexes": [4, 1]}, "out_feature_indexes: .* rising numbers"),
        ({"out_feature_indexes": [1, 2, 3, 9]}, "stage9"),
        ({"sa_nheads": 5}, r"another shape: .*self_attn"),
        ({"dec_n_points": 3}, r"another shape: .*cross_attn"),
        ({"mask_downsample_ratio": float("nan")}, "mask_downsample_ratio: nan does not fit"),
        ({"num_select": [3]}, r"num_select: \[3\] does not fit"),
        ({"class_names": ["a"] * 7}, "7 class names for 6 rows"),
        ({"class_names": 5}, "class_names: 5 does not fit"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = write_rfdetr_checkpoint(tmp_path / "x.pth", model_config={**SETTINGS, **settings})
    with pytest.raises(LoadError, match=rf"x\.pth.*{message}"):
        load_model("auto", file)


def test_settings_that_are_no_mapping_are_refused(tmp_path: Path) -> None:
    file = write_rfdetr_checkpoint(tmp_path / "x.pth", args=SimpleNamespace(class_names=["pen"]))
    assert load(file).labels.things == {0: "pen"}
    file = write_rfdetr_checkpoint(tmp_path / "x.pth", model_config=[1])
    with pytest.raises(LoadError, match="model_config holds a list, expected keys with values"):
        load_model("auto", file)


def test_a_file_of_another_family_is_not_taken_for_one_of_transformers(tmp_path: Path) -> None:
    torch.save({"encoder.weight": torch.zeros(2)}, tmp_path / "x.pth")
    with pytest.raises(LoadError, match="not an RF-DETR of rfdetr, nor a folder of transformers"):
        load_model("transformers", tmp_path / "x.pth")


def test_the_file_of_a_folder_is_answered_with_the_folder(tmp_path: Path) -> None:
    folder = write_rf_detr_folder(tmp_path)
    with pytest.raises(LoadError, match=rf"belongs to a folder of transformers; give the folder: {folder}$"):
        load_model("auto", folder / "model.safetensors")
