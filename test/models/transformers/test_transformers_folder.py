# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of the transformers library are loaded or refused, without network access or running code."""

import importlib.util
import json
import logging
import shutil
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers")

from thin_transformers import COCO_PANOPTIC, KINDS, write_thin_checkpoint, write_transformers_folder

from seg_node.inference.engine import Engine
from seg_node.models.files.load_error import LoadError
from seg_node.models.load import load_model
from seg_node.models.transformers import universal
from seg_node.models.transformers.folder import is_transformers_folder, load_transformers
from seg_node.types import Frame, LabelSet

NAMES = ("car", "person", "stuff road")
CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("folders")
    return {kind: write_transformers_folder(root / kind, kind, NAMES) for kind in ("eomt", "oneformer")}


@pytest.fixture
def eomt(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(checkpoints["eomt"], tmp_path / "eomt")


@pytest.fixture
def oneformer(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    folder = shutil.copytree(checkpoints["oneformer"], tmp_path / "oneformer")
    for file in folder.glob("*processor_config.json"):  # as in published ones
        file.write_text(file.read_text().replace(str(checkpoints["oneformer"]), "shi-labs/oneformer_demo"))
    return folder


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_thin_checkpoint_of_coco_panoptic_finds_things_and_stuff(tmp_path: Path) -> None:
    weights, _ = write_thin_checkpoint(tmp_path)
    assert is_transformers_folder(weights)
    model = load_transformers(weights)
    assert list(model.labels.things.values()) == list(COCO_PANOPTIC[:80])
    assert model.labels.stuff == {80 + i: name for i, name in enumerate(COCO_PANOPTIC[80:])}
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)

    found = Engine(model, torch.device("cpu")).segment(Frame(image, "rgb"), model.default_options)

    assert len(found.instances) and set(found.instances.class_ids.tolist()) <= set(range(80))
    assert found.panoptic is not None
    assert [s.is_thing for s in found.panoptic.segments] == [s.class_id < 80 for s in found.panoptic.segments]
    assert {s.is_thing for s in found.panoptic.segments} == {True, False}


def test_ids_of_coco_categories_are_kept_and_unused_ones_have_no_name(eomt: Path) -> None:
    tensors = load_file(eomt / WEIGHTS)
    for key in ("class_predictor.weight", "class_predictor.bias"):
        tensors[key] = torch.zeros(251, *tensors[key].shape[1:])
    save_file(tensors, eomt / WEIGHTS, metadata={"format": "pt"})
    names = dict.fromkeys(range(250), "N/A") | dict(zip(range(10, 143), COCO_PANOPTIC, strict=True))
    change(eomt / CONFIG, id2label=names, num_labels=250)

    labels = load_transformers(eomt).labels

    assert labels.things == dict(zip(range(10, 90), COCO_PANOPTIC, strict=False))
    assert labels.stuff == dict(zip(range(90, 143), COCO_PANOPTIC[80:], strict=True))


def test_without_labels_all_unknown_classes_are_things(eomt: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "seg_node"):
        assert load_transformers(eomt).labels == LabelSet(dict(enumerate(NAMES)))
    assert f"{eomt} does not say which of its classes are stuff" in caplog.text


def test_labels_of_the_user_define_stuff(eomt: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "seg_node"):
        labels = load_transformers(eomt, LabelSet({0: "lorry"}, {2: "street"})).labels
    assert labels == LabelSet({0: "lorry", 1: "person"}, {2: "street"}) and not caplog.records


def test_labels_by_the_checkpoints_own_names_keep_its_ids(eomt: Path) -> None:
    first, second, third = NAMES
    # in a list the first place would be class 0
    labels = load_transformers(eomt, LabelSet({0: third, 1: second}, {2: first})).labels
    assert labels == LabelSet({2: third, 1: second}, {0: first})


def test_labels_of_classes_that_are_not_there_are_refused(eomt: Path) -> None:
    with pytest.raises(ValueError, match=r"eomt: .* classes up to 2, but the labels name 3"):
        load_transformers(eomt, LabelSet({0: "car"}, {3: "sky"}))


def test_oneformer_has_its_stuff_from_its_own_file(oneformer: Path) -> None:
    model = load_transformers(oneformer)
    assert model.labels == LabelSet({0: "car", 1: "person"}, {2: "stuff road"})
    assert load_transformers(oneformer, LabelSet({}, {0: "car"})).image_processor.metadata["thing_ids"] == [
        1,
        2,
    ]


def test_oneformer_without_its_file_of_classes_is_refused(oneformer: Path) -> None:
    (oneformer / "classes.json").unlink()
    with pytest.raises(ValueError, match=r"classes.json: no such file"):
        load_transformers(oneformer)


def test_the_name_of_a_hub_model_is_no_folder() -> None:
    assert not is_transformers_folder(Path("facebook/mask2former-swin-tiny-coco-panoptic"))
    with pytest.raises(
        FileNotFoundError, match=r"facebook/mask2former-x: .* hf download NAME --local-dir FOLDER"
    ):
        load_transformers(Path("facebook/mask2former-x"))


def test_a_missing_library_is_named_with_its_package(eomt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RuntimeError, match=r"pip install 'transformers>="):
        load_transformers(eomt)


@pytest.mark.parametrize("module", ["transformers.folder", "transformers.model", "load"])
def test_modules_do_not_import_the_library(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    spec = importlib.util.find_spec(f"seg_node.models.{module}")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_pickled_weights_are_not_read(eomt: Path) -> None:
    torch.save(load_file(eomt / WEIGHTS), eomt / "pytorch_model.bin")
    (eomt / WEIGHTS).unlink()
    with pytest.raises(ValueError, match=r"no weights as safetensors.*save_pretrained"):
        load_transformers(eomt)


def test_a_model_of_another_kind_is_refused(eomt: Path) -> None:
    change(eomt / CONFIG, model_type="bert")
    with pytest.raises(ValueError, match=r"eomt: .*model_type 'bert'; known: mask2former, "):
        load_transformers(eomt)


@pytest.mark.parametrize("bias", [None, torch.zeros(9)])
def test_tensors_that_do_not_fit_are_not_made_up(eomt: Path, bias: torch.Tensor | None) -> None:
    tensors = load_file(eomt / WEIGHTS)
    del tensors["class_predictor.bias"]
    if bias is not None:
        tensors["class_predictor.bias"] = bias
    save_file(tensors, eomt / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"eomt: .* class_predictor.bias"):
        load_transformers(eomt)


@pytest.mark.parametrize("file", [CONFIG, PREPROCESSOR])
def test_a_missing_or_damaged_file_is_named(eomt: Path, file: str) -> None:
    (eomt / file).write_text("{")
    with pytest.raises(ValueError, match="eomt"):
        load_transformers(eomt)
    (eomt / file).unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=file):
        load_transformers(eomt)


def test_a_checkpoint_marked_as_semantic_is_refused(eomt: Path) -> None:
    change(eomt / PREPROCESSOR, do_split_image=True)
    with pytest.raises(ValueError, match="semantic-only"):
        load_transformers(eomt)


def test_half_precision_is_widened(eomt: Path) -> None:
    tensors = {key: tensor.half() for key, tensor in load_file(eomt / WEIGHTS).items()}
    save_file(tensors, eomt / WEIGHTS, metadata={"format": "pt"})
    change(eomt / CONFIG, dtype="float16", torch_dtype="float16")
    assert {p.dtype for p in load_transformers(eomt).network.parameters()} == {torch.float32}


def bring_code(folder: Path) -> Path:
    """Add code in every way a folder supports; return the file that it would write."""
    marker = folder / "it_ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass C:\n    pass\n")
    auto_map = dict.fromkeys(
        (
            "AutoConfig",
            "AutoModel",
            "AutoModelForUniversalSegmentation",
            "AutoImageProcessor",
            "AutoProcessor",
            "AutoTokenizer",
        ),
        "evil.C",
    )
    for file in (CONFIG, PREPROCESSOR, "processor_config.json", "tokenizer_config.json"):
        if (folder / file).is_file():
            change(folder / file, auto_map=auto_map)
    return marker


@pytest.mark.parametrize("kind", ["eomt", "oneformer"])
def test_code_that_a_folder_brings_is_not_run(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    marker = bring_code(folder)
    load_transformers(folder)
    assert not marker.exists()


def test_a_folder_that_needs_its_own_code_is_refused(eomt: Path) -> None:
    marker = bring_code(eomt)
    change(eomt / CONFIG, model_type="evil")
    with pytest.raises(ValueError, match="model_type 'evil'"):
        load_transformers(eomt)
    change(eomt / CONFIG, model_type="eomt")
    change(eomt / PREPROCESSOR, image_processor_type="EvilImageProcessor")
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_transformers(eomt)
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["eomt", "oneformer"])
def test_nothing_is_downloaded(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = request.getfixturevalue(kind)
    change(folder / CONFIG, attn_implementation="someone/kernel", use_pretrained_backbone=True)
    asked = []

    def refuse(*address: Any) -> NoReturn:
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load_transformers(folder)
    assert asked == []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record and refuse all attempted connections."""
    tried: list[Any] = []

    def refuse(*address: Any, **_: Any) -> NoReturn:
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.mark.parametrize(
    "values",
    [
        {"backbone": "microsoft/swin-tiny", "backbone_config": None},
        {"backbone": "resnet50", "backbone_config": None},
        {"backbone": "hf-hub:a/b", "use_timm_backbone": True, "backbone_config": None},
        {"backbone_config": {"model_type": "timm_backbone", "backbone": "hf-hub:a/b"}},
        {"backbone_config": {"model_type": "swin", "backbone": "a/b"}},
        {"backbone": ["a/b"]},
    ],
)
def test_a_backbone_that_would_be_downloaded_is_refused_without_a_connection(
    values: dict[str, Any], tmp_path: Path, asked: list[Any]
) -> None:
    folder = write_transformers_folder(tmp_path / "m2f", "mask2former", NAMES)
    change(folder / CONFIG, **values)
    with pytest.raises(LoadError, match=r"m2f: config\.json: backbone .* would have to be downloaded"):
        load_transformers(folder)
    assert asked == []


def test_decoder_of_published_maskformers_names_a_backbone_that_is_never_made(
    tmp_path: Path, asked: list[Any]
) -> None:
    folder = write_transformers_folder(tmp_path / "mf", "maskformer", NAMES)
    decoder = json.loads((folder / CONFIG).read_text())["decoder_config"]
    own = {key: value for key, value in decoder.items() if "backbone" not in key}
    change(folder / CONFIG, decoder_config={**own, "backbone": "resnet50", "model_type": "detr"})
    assert load_transformers(folder).labels.things[0] == "car"
    assert asked == []


def test_the_library_tries_no_connection_while_a_folder_is_read(
    eomt: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is downloaded whatever a file names: here files that the library would fetch from the hub."""
    from huggingface_hub import HfApi

    def ask(*_: Any) -> NoReturn:
        HfApi().model_info("someone/something")
        raise AssertionError("the hub has answered")

    monkeypatch.setattr(universal, "_read_processor", ask)
    with pytest.raises(LoadError, match="eomt: the transformers library cannot load it"):
        load_transformers(eomt)
    assert asked == []


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        (CONFIG, {"id2label": ["car", "person", "road"]}, "id2label is a list, expected numbers with names"),
        (CONFIG, {"id2label": {"car": 0}}, "id2label: 'car' is not a class number with a name"),
        (CONFIG, {"id2label": {"0": ["car"]}}, "id2label: '0' is not a class number with a name"),
        (CONFIG, {"quantization_config": {"quant_method": "gptq"}}, "quantised weights are not read"),
        (CONFIG, {"num_hidden_layers": 10**7}, r"num_hidden_layers: 10000000, of at most 200"),
        (CONFIG, {"hidden_size": 4096}, r"a network of \d+ numbers, the files hold \d+"),
        (CONFIG, {"num_queries": 10**6}, r"a network of \d+ numbers, the files hold \d+"),
        (PREPROCESSOR, {"size": {"shortest_edge": 10**9}}, r"shortest_edge: 1000000000 does not fit"),
        (PREPROCESSOR, {"image_std": [0, 1, 1]}, "image_std: .*expected three numbers above 0"),
        (PREPROCESSOR, {"image_mean": "grey"}, "image_mean: 'grey' does not fit"),
        (PREPROCESSOR, {"rescale_factor": "x"}, "preprocessor_config.json cannot prepare an image"),
        (PREPROCESSOR, {"resample": 2**40}, "preprocessor_config.json cannot prepare an image"),
    ],
)
def test_values_that_would_fail_or_take_all_memory_later_are_refused_now(
    file: str, values: dict[str, Any], message: str, eomt: Path
) -> None:
    change(eomt / file, **values)
    with pytest.raises(LoadError, match=rf"eomt.*{message}"):
        load_transformers(eomt)


def test_numbers_as_names_become_texts(eomt: Path) -> None:
    change(eomt / CONFIG, id2label={"0": 0, "1": 1, "2": 2})
    assert load_transformers(eomt).labels.things == {0: "0", 1: "1", 2: "2"}


def test_json_with_a_byte_order_mark_is_read_and_other_numbers_are_not(eomt: Path) -> None:
    text = (eomt / CONFIG).read_text()
    (eomt / CONFIG).write_text(text.replace("{", '{"x": NaN, ', 1))
    with pytest.raises(LoadError, match=r"config\.json: not a JSON file: NaN is not a number"):
        load_transformers(eomt)


def test_an_adapter_and_shards_elsewhere_are_refused(eomt: Path) -> None:
    (eomt / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../model.safetensors"}}')
    with pytest.raises(LoadError, match="weight_map does not name files of this folder"):
        load_transformers(eomt)
    (eomt / "adapter_config.json").write_text("{}")
    with pytest.raises(LoadError, match="has an adapter"):
        load_transformers(eomt)


@pytest.fixture
def videomt(tmp_path: Path) -> Path:
    if "videomt" not in KINDS:
        pytest.skip("needs a transformers with VidEoMT")
    return write_transformers_folder(tmp_path / "videomt", "videomt", NAMES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": {"height": 64, "width": 80}}, "makes inputs of 80x64, but config.json has image_size 64"),
        ({"size": {"height": 10**9, "width": 64}}, "height: 1000000000 does not fit"),
        ({"rescale_factor": "x"}, "video_preprocessor_config.json cannot prepare an image"),
    ],
)
def test_a_video_models_preprocessor_must_fit(values: dict[str, Any], message: str, videomt: Path) -> None:
    change(videomt / "video_preprocessor_config.json", **values)
    with pytest.raises(LoadError, match=rf"videomt.*{message}"):
        load_transformers(videomt)


def test_a_video_model_without_its_preprocessor_is_refused(videomt: Path) -> None:
    (videomt / "video_preprocessor_config.json").unlink()
    with pytest.raises(LoadError, match="videomt: the transformers library cannot load it"):
        load_transformers(videomt)


def test_tensors_of_another_architecture_are_answered_with_its_name(eomt: Path) -> None:
    change(eomt / CONFIG, architectures=["EomtForDepth"])
    tensors = load_file(eomt / WEIGHTS)
    del tensors["mask_head.fc1.weight"]
    save_file(tensors, eomt / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(LoadError, match="holds a EomtForDepth, a EomtForUniversalSegmentation is needed"):
        load_transformers(eomt)


def test_one_file_of_a_folder_is_answered_with_the_folder(eomt: Path) -> None:
    with pytest.raises(LoadError, match=rf"belongs to a folder of transformers; give the folder: {eomt}$"):
        load_model("auto", eomt / WEIGHTS)
