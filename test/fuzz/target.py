# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What the driver needs to know about one boundary."""

import importlib
import json
import pkgutil
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

# Plain data that JSON can hold, and bytes: a fault's input is kept as text, and read again as a regression.
Input = dict[str, Any]

CORPUS = Path(__file__).parent / "corpus"
MEGABYTE = 1 << 20


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Target:
    """One boundary under test.

    make: an input from a random source; the same input for the same state of the source.
    run: passes the input to the boundary. The folder is empty and removed afterwards; writing anywhere else,
    starting a program or opening a connection is a fault. An assertion that fails is a fault too.
    allowed: the exceptions that the boundary documents; any other one is a fault.
    cpu_s, memory_mb: what one input may take, memory beyond the idle process.
    batch: inputs of one child. prepare: called in each child before its first input.
    known: inputs that once broke the boundary, by name, where code is shorter than a file of the corpus.
    """

    name: str
    make: Callable[[Random], Input]
    run: Callable[[Input, Path], None]
    allowed: tuple[type[Exception], ...]
    cpu_s: int = 10
    memory_mb: int = 1000
    batch: int = 200
    prepare: Callable[[], None] = _nothing
    known: Mapping[str, Callable[[], Input]] = field(default_factory=dict)


def target_names() -> list[str]:
    """All targets, by the names of their modules."""
    from fuzz import targets

    return sorted(module.name for module in pkgutil.iter_modules(targets.__path__))


def load_target(name: str) -> Target:
    """Raises ModuleNotFoundError where a library is missing that the boundary needs, such as rclpy."""
    target: Target = importlib.import_module(f"fuzz.targets.{name}").TARGET
    return target


def kept_inputs(target: Target) -> list[Input]:
    """What once broke the boundary: the files of the corpus, and what is made by code."""
    files = sorted((CORPUS / target.name).glob("*.json"))
    return [
        *(input_from_json(file.read_text()) for file in files),
        *(make() for make in target.known.values()),
    ]


def input_to_json(value: Input) -> str:
    return json.dumps(value, default=_encode_bytes)


def input_from_json(text: str) -> Input:
    value: Input = json.loads(text, object_hook=_decode_bytes)
    return value


def _encode_bytes(value: Any) -> dict[str, str]:
    return {"base64": b64encode(value).decode("ascii")}


def _decode_bytes(value: dict[str, Any]) -> Any:
    return b64decode(value["base64"]) if value.keys() == {"base64"} else value
