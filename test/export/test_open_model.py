# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Opening a model's engine from one description."""

from pathlib import Path

import pytest

from seg_node.export.open_model import ModelSource, open_model
from seg_node.models.files.load_error import LoadError

Checkpoint = tuple[Path, Path]


def test_without_anything_the_embedded_model_is_opened_exact() -> None:
    engine = open_model(ModelSource(device="cpu"))
    assert "cup" in engine.labels.things.values()
    assert (engine.precision, engine.device_name) == ("exact", "cpu")


def test_files_and_precision_are_the_sources(thin_checkpoint: Checkpoint, tmp_path: Path) -> None:
    weights, config = thin_checkpoint
    labels = tmp_path / "labels.yaml"
    labels.write_text(f"things: [{', '.join(f'thing {number}' for number in range(80))}]")
    engine = open_model(ModelSource("torchvision", weights, config, labels, "cpu", "fp32"))
    assert engine.labels.name(1) == "thing 0"
    assert engine.precision == "fp32"


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        (ModelSource(weights="/no/such.pth"), LoadError, "/no/such.pth"),
        (ModelSource(device="tpu"), ValueError, "device 'tpu' is not known"),
        (ModelSource(device="cuda:99"), RuntimeError, "device cuda:99: PyTorch"),
        (ModelSource(device="cpu", precision="fp8"), LoadError, "precision 'fp8'"),
        (ModelSource(device="cpu", engine="/no/such.pt2"), LoadError, "/no/such.pt2: no such exported file"),
    ],
)
def test_what_cannot_be_used_is_named(source: ModelSource, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        open_model(source)
