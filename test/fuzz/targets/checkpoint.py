# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Weights files of every kind → named tensors (seg_node.models.files.checkpoint)."""

from pathlib import Path
from random import Random

from torch import Tensor

from fuzz import archives
from fuzz.target import Input, Target
from seg_node.models.files.checkpoint import read_checkpoint


def make(random: Random) -> Input:
    suffix, data = archives.broken(random)
    if random.random() < 0.1:
        suffix = random.choice((".pth", ".pkl", ".safetensors", ".pt", ""))
    return {"suffix": suffix, "data": data}


def run(fields: Input, folder: Path) -> None:
    path = folder / f"weights{fields['suffix']}"
    path.write_bytes(fields["data"])
    checkpoint = read_checkpoint(path)
    assert all(isinstance(name, str) for name in checkpoint.tensors)
    assert all(isinstance(tensor, Tensor) for tensor in checkpoint.tensors.values())


def _nested(as_key: bool, suffix: str) -> Input:
    return {"suffix": suffix, "data": archives.nested_tuples(200, as_key)}


TARGET = Target(
    "checkpoint",
    make,
    run,
    (ValueError, FileNotFoundError),
    known={
        "a key that takes for ever to hash": lambda: _nested(True, ".pkl"),
        "a value that takes for ever to walk": lambda: _nested(False, ".pkl"),
        "an archive with two directories": lambda: {
            "suffix": ".pth",
            "data": archives.two_directories(1500 << 20),
        },
    },
)
