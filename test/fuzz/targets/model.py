# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Weights and configuration of each family, changed in places → model (seg_node.models.load)."""

import json
import tempfile
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import thin_detectron2
import thin_rf_detr
import thin_solo
import thin_torchvision
import thin_transformers
import thin_yolact
import torch
import yaml
from torch import Tensor

from fuzz import mutate
from fuzz.target import Input, Target
from seg_node.models.files.checkpoint import read_checkpoint
from seg_node.models.load import load_model

_THIN = {
    "torchvision": thin_torchvision,
    "detectron2": thin_detectron2,
    "solo": thin_solo,
    "yolact": thin_yolact,
    "rf_detr": thin_rf_detr,
}
_EDITS = ("drop", "rename", "reshape", "double", "empty", "scalar", "more")
_TRANSFORMERS = ("config.json", "preprocessor_config.json")


@lru_cache
def _sample(family: str) -> tuple[dict[str, Tensor], Any]:
    """(tensors, config)"""
    with tempfile.TemporaryDirectory() as folder:
        weights, config = _THIN[family].write_thin_checkpoint(Path(folder))
        return dict(read_checkpoint(weights).tensors), yaml.safe_load(config.read_text())


@lru_cache
def _transformers() -> dict[str, bytes]:
    """The files of a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder, _ = thin_transformers.write_thin_checkpoint(Path(name))
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def _prepare() -> None:
    _transformers()
    for family in _THIN:
        _sample(family)


def make(random: Random) -> Input:
    _prepare()  # once, before children are forked
    family = random.choice((*_THIN, "transformers"))
    if family == "transformers":
        changed = random.choice(_TRANSFORMERS)
        tree = json.loads(_transformers()[changed])
        if random.random() < 0.2:
            tree["backbone"] = random.choice(("facebook/dinov2-base", "resnet50", "/outside", "..", 3))
            tree.pop("backbone_config", None)
            tree["use_timm_backbone"] = random.random() < 0.5
        return {"family": family, "file": changed, "text": json.dumps(mutate.mutate_tree(tree, random))}
    tensors, config = _sample(family)
    edits = [
        [random.choice(list(tensors)), random.choice(_EDITS)] for _ in range(random.choice((0, 0, 1, 3)))
    ]
    if not edits or random.random() < 0.5:
        config = mutate.mutate_tree(config, random)
    return {"family": family, "edits": edits, "config": yaml.dump(config)}


def _edited(tensors: dict[str, Tensor], edits: list[list[str]]) -> dict[str, Tensor]:
    changed = dict(tensors)
    for name, edit in edits:
        tensor = changed.get(name, torch.zeros(3))
        match edit:
            case "drop":
                changed.pop(name, None)
            case "rename":
                changed[f"{name}.x"] = tensor
            case "reshape":
                changed[name] = tensor.reshape(-1)
            case "double":
                changed[name] = torch.cat([tensor.reshape(1, -1)] * 2)
            case "empty":
                changed[name] = tensor.new_zeros((0, *tensor.shape[1:]))
            case "scalar":
                changed[name] = torch.tensor(1)
            case "more":
                changed[name] = tensor.new_zeros((200, *tensor.shape[1:]))
    return changed


def run(fields: Input, folder: Path) -> None:
    if fields["family"] == "transformers":
        for name, data in _transformers().items():
            (folder / name).write_bytes(data)
        (folder / fields["file"]).write_text(fields["text"])
        load_model("auto", folder)
        return
    weights, config = folder / "thin.pth", folder / "thin.yaml"
    torch.save(_edited(_sample(fields["family"])[0], fields["edits"]), weights)
    config.write_text(fields["config"])
    model = load_model("auto", weights, config)
    assert model.labels.things or model.labels.stuff


TARGET = Target("model", make, run, (ValueError, FileNotFoundError), batch=50, prepare=_prepare)
