# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Validation of a transformers folder's JSON files before the library reads them."""

import importlib
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open

from seg_node.models.files.config_values import positive_side, three_divisors, three_numbers
from seg_node.untrusted.plain_data import read_json

_MODEL_TYPES = (
    *("mask2former", "maskformer", "oneformer", "eomt", "eomt_dinov3", "detr"),
    *("sam3", "sam3_video", "sam3_lite_text"),
)
_MAX_LAYERS = 200  # of one kind
_LAYER_KEYS = ("layers", "depth", "blocks", "levels", "stages", "convs")
_SIZE_KEYS = (
    *("size", "crop_size", "pad_size", "max_size", "size_divisor"),
    *("shortest_edge", "longest_edge", "height", "width"),
)
_ROOM = 1 << 20  # numbers that a network may have beyond those of its file: computed buffers


def check_folder(folder: Path, known: Collection[str] = _MODEL_TYPES) -> str:
    """Validate the folder and return its model type, one of the known.

    Raises FileNotFoundError; ValueError if the folder is of another kind, needs a download or is too large.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder, and nothing is downloaded at run time; to get a model of the hub: "
            "hf download NAME --local-dir FOLDER, then give FOLDER"
        )
    config = read_json(folder / "config.json")
    model_type = config.get("model_type")
    if model_type not in known:
        raise ValueError(f"{folder}: config.json has model_type {model_type!r}; known: {', '.join(known)}")
    if (folder / "adapter_config.json").exists():
        raise ValueError(f"{folder}: has an adapter (LoRA); merge it into the model and save that")
    if config.get("quantization_config"):
        raise ValueError(f"{folder}: config.json: quantization_config: quantised weights are not read")
    if not any(folder.glob("*.safetensors")):
        raise ValueError(
            f"{folder}: no weights as safetensors, others are not read; to convert them: "
            "AutoModelForUniversalSegmentation.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    _check_class_names(config, folder)
    for section in _sections(config):
        _check_backbone(section, folder)
        _check_layers(section, folder)
    _check_shards(folder)
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            for section in _sections(read_json(folder / name)):
                _check_image_processor(section, f"{folder}: {name}")
    return str(model_type)


def _sections(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all objects of a JSON file, the outer one first."""
    if isinstance(config, Mapping):
        yield config
    if isinstance(config, Mapping | list):
        for value in config.values() if isinstance(config, Mapping) else config:
            yield from _sections(value)


def _check_class_names(config: Mapping[str, Any], folder: Path) -> None:
    names = config.get("id2label")
    if names is None:
        return
    if not isinstance(names, Mapping):
        raise ValueError(
            f"{folder}: config.json: id2label is a {type(names).__name__}, expected numbers with names, as "
            'in {"0": "cup", "1": "bowl"}'
        )
    odd = [key for key, name in names.items() if not key.isdecimal() or not isinstance(name, str | int)]
    if odd:
        raise ValueError(f"{folder}: config.json: id2label: {odd[0]!r} is not a class number with a name")


def _check_backbone(section: Mapping[str, Any], folder: Path) -> None:
    """Refuse backbones that would be downloaded; timm brings the code of its own."""
    name = section.get("backbone")
    if name is None:
        return
    kind = str(section.get("model_type"))
    # DETR's default is timm, even as MaskFormer's decoder, which has no backbone
    is_timm = section.get("use_timm_backbone", kind == "detr") or kind.startswith("timm")
    if not isinstance(name, str) or not is_timm or "/" in name or ":" in name:
        raise ValueError(
            f"{folder}: config.json: backbone {name!r} would have to be downloaded; save the folder anew "
            "with the backbone's own configuration (backbone_config): model.save_pretrained(FOLDER)"
        )


def _check_layers(section: Mapping[str, Any], folder: Path) -> None:
    for key, value in section.items():
        counts = value if isinstance(value, list) else [value]
        if any(part in key for part in _LAYER_KEYS) and any(
            isinstance(count, int) and count > _MAX_LAYERS for count in counts
        ):
            raise ValueError(f"{folder}: config.json: {key}: {value!r}, of at most {_MAX_LAYERS}")


def _check_shards(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = read_json(index).get("weight_map")
        if not isinstance(files, Mapping) or not all(
            isinstance(name, str) and Path(name).name == name for name in files.values()
        ):
            raise ValueError(f"{index}: weight_map does not name files of this folder")


def _check_image_processor(section: Mapping[str, Any], source: str) -> None:
    """Raise ValueError for sizes and colours that no image can have."""
    checks = {
        **dict.fromkeys(_SIZE_KEYS, positive_side),
        "image_mean": three_numbers,
        "image_std": three_divisors,
    }
    for key, check in checks.items():
        value = section.get(key)
        if value is None or isinstance(value, Mapping):
            continue
        values = value if isinstance(value, list) and check is positive_side else [value]
        try:
            for item in values:
                check(item)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{source}: {key}: {value!r} does not fit ({error})") from error


def check_size(network: Any, folder: Path) -> None:
    """Raise ValueError if a network has many more numbers than its files.

    network: on the device "meta".
    """
    own = sum(tensor.numel() for tensor in (*network.parameters(), *network.buffers()))
    stored = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            stored += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    if own > 2 * stored + _ROOM:
        raise ValueError(
            f"{folder}: config.json describes a network of {own} numbers, the files hold {stored}: "
            "it is the configuration of another model"
        )


@contextmanager
def offline() -> Iterator[None]:
    """Keep the libraries of the Hugging Face hub from connecting."""
    places = [
        (importlib.import_module("huggingface_hub.constants"), "HF_HUB_OFFLINE"),
        (importlib.import_module("transformers.utils.hub"), "_is_offline_mode"),  # its copy before version 5
    ]
    before = [(module, name, getattr(module, name)) for module, name in places if hasattr(module, name)]
    try:
        for module, name, _ in before:
            setattr(module, name, True)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
