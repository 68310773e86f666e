# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of SAM 3 are loaded or refused with what is wrong, without network access."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers.models.sam3", reason="this version of transformers has no SAM 3")

import transformers
from thin_sam3 import QUERIES, write_sam3_folder

from seg_node.models.files.load_error import LoadError
from seg_node.models.load import load_model
from seg_node.types import LabelSet

KINDS = ("sam3", "sam3_video", "sam3_lite_text")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("folders")
    return {kind: write_sam3_folder(root / kind, kind) for kind in KINDS}


@pytest.fixture
def folder(written: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(written["sam3"], tmp_path / "sam3")


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_loaded_with_the_librarys_thresholds(
    written: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = load_model(weights=written[kind])
    own = model.default_options
    assert (own.score_threshold, own.mask_threshold, own.max_instances) == (0.3, 0.5, QUERIES)
    assert own.prompts == () and model.labels == LabelSet({})


def test_the_detector_of_a_model_for_videos_has_the_weights_of_its_file(written: dict[str, Path]) -> None:
    alone, within = (load_model(weights=written[kind]).network.state_dict() for kind in KINDS[:2])
    assert alone.keys() == within.keys()
    assert all((alone[name] == within[name]).all() for name in alone)


def test_a_file_of_labels_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text("things: [mug]\n")
    with pytest.raises(LoadError, match=r"its classes are the prompts, .* leave it out"):
        load_model(weights=folder, labels=tmp_path / "labels.yaml")


def test_a_library_without_the_network_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        __version__ = "4.48.0"
        utils = transformers.utils
        CONFIG_MAPPING = ()

    monkeypatch.setitem(__import__("sys").modules, "transformers", Old)
    with pytest.raises(LoadError, match=r"sam3 is not in transformers 4.48.0; run pip install --upgrade"):
        load_model(weights=folder)


def test_missing_weights_are_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["text_projection.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadError, match=r"1 of its tensors are missing .* text_projection.weight"):
        load_model(weights=folder)


def test_a_network_larger_than_its_file_is_not_built(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["vocab_size"] = 10**9
    change(folder / "config.json", **config)
    with pytest.raises(LoadError, match="it is the configuration of another model"):
        load_model(weights=folder)


@pytest.mark.parametrize(
    ("section", "key", "value", "text"),
    [
        ("vision_config", "scale_factors", [1.0] * 1000, "scale_factors has 1000 levels, of at most 8"),
        ("mask_decoder_config", "num_upsampling_stages", 10**6, "num_upsampling_stages: 1000000"),
        ("detr_decoder_config", "num_layers", 10**6, "num_layers: 1000000"),
        ("text_config", "vocab_size", 10, "words|missing or of another shape"),
        ("text_config", "max_position_embeddings", 8, "places for 8 tokens|missing or of another shape"),
        ("vision_config", "backbone_config", {"model_type": "../evil"}, "cannot load it"),
        ("text_config", "hidden_size", "many", "cannot load it"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(
    folder: Path, section: str, key: str, value: Any, text: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config[section][key] = value
    change(folder / "config.json", **config)
    with pytest.raises(LoadError, match=text):
        load_model(weights=folder)


def test_images_of_another_size_than_the_networks_are_refused(folder: Path) -> None:
    processor = json.loads((folder / "processor_config.json").read_text())
    processor["image_processor"]["size"] = {"height": 56, "width": 56}
    change(folder / "processor_config.json", **processor)
    with pytest.raises(LoadError, match=r"makes images of \(1, 3, 56, 56\), but config.json is for"):
        load_model(weights=folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "processor_config.json"])
@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', "{" * 1000])
def test_damaged_files_give_no_other_error(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    try:
        load_model(weights=folder)  # some are not needed
    except LoadError as error:
        assert str(folder) in str(error)
