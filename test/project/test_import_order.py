# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Packages import in one direction only, so that a reader can follow a frame without going back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SEG_NODE = Path(__file__).resolve().parents[2] / "seg_node"

GENERATED = ("__version__", "msg", "srv")

# Each package may import those before it. Packages within braces are neighbours that do not know each other.
ORDER = (
    {"types", "errors", "choices"},
    {"untrusted"},
    {"arguments"},
    {"labels"},
    {"groups_file"},
    {"class_groups"},
    {"prompts"},
    {"images"},
    {"video"},
    {"masks"},
    {"spatial", "preprocess", "track", "sources"},
    {"drawing"},
    {"models.files", "models.gpu"},
    {"models.model"},  # the interface that the families implement
    {"models.layers", "models.assemble", "models.onnx"},
    {"models.rcnn", "models.yolact", "models.solo", "models.yolo", "models.transformers"},
    {"models"},
    {"inference"},
    {"export"},
    {"predictor", "evaluation"},
    {"commands", "training", "fleet", "ros.common", "ros.messages"},
    {"ros.node", "ros.play", "ros.view"},
    {"ros.demo"},
    {"command_line"},
    {"cli"},
)
RANK = {package: rank for rank, packages in enumerate(ORDER) for package in packages}


def package_of(module: str) -> str:
    """The room of a module: models and ros have rooms of their own within."""
    _, *parts = module.split(".")
    room = ".".join(parts[:2])
    has_rooms = parts[0] in ("models", "ros") and len(parts) > 1
    is_room = has_rooms and ((SEG_NODE / parts[0] / parts[1]).is_dir() or room in RANK)
    return room if is_room else parts[0]


def imported_modules(source: str) -> Iterator[str]:
    """Modules of seg_node that the source imports, wherever the import stands."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("seg_node.") and name.split(".")[1] not in GENERATED:
                yield name


def wrong_arrows(module: str, source: str) -> set[str]:
    """Imports of a package that stands beside or behind the module's own."""
    importer = package_of(module)
    packages = {package_of(name) for name in imported_modules(source)} - {importer}
    return {package for package in packages if RANK[package] >= RANK[importer]}


@pytest.mark.parametrize(
    "file",
    [file for file in sorted(SEG_NODE.rglob("*.py")) if file != SEG_NODE / "__init__.py"],
    ids=lambda file: str(file.relative_to(SEG_NODE)),
)
def test_imports_go_in_one_direction(file: Path) -> None:
    module = ".".join(file.relative_to(SEG_NODE.parent).with_suffix("").parts)
    assert wrong_arrows(module.removesuffix(".__init__"), file.read_text()) == set()


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("seg_node.masks.crop", "from seg_node.models.load import load_model", {"models"}),
        (
            "seg_node.models.rcnn.model",
            "def f():\n    from seg_node.models.solo import masks",
            {"models.solo"},
        ),
        ("seg_node.ros.play.main", "import seg_node.ros.node.camera", {"ros.node"}),
        ("seg_node.models.load", "from seg_node.models.rcnn.model import RcnnModel\nimport numpy", set()),
    ],
)
def test_a_wrong_arrow_is_found(module: str, source: str, wrong: set[str]) -> None:
    assert wrong_arrows(module, source) == wrong
