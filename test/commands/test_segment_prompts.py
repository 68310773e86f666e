# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node segment --prompts` and `Predictor(prompts=…)` with a tiny SAM 3."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("transformers.models.sam3", reason="this version of transformers has no SAM 3")

from thin_sam3 import write_sam3_folder

from seg_node.cli import main
from seg_node.predictor import Predictor
from seg_node.types import LabelSet


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sam3_folder(tmp_path_factory.mktemp("sam3"))


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


def test_segment_writes_the_prompts_as_names(folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "table.png"), noise())
    command = ["segment", str(tmp_path / "table.png"), "--weights", str(folder), "--device", "cpu"]
    assert main([*command, "--prompts", "mug, red cable", "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out/instances.json").read_text())
    assert {(one["category_id"], one["category_name"]) for one in found} <= {(0, "mug"), (1, "red cable")}
    assert found


def test_segment_without_prompts_says_what_to_give(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "table.png"), noise())
    command = ["segment", str(tmp_path / "table.png"), "--weights", str(folder), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    assert "there are none: give some, such as mug, screwdriver" in capsys.readouterr().err
    assert main([*command, "--prompts", "mug,,cup", "--out", str(tmp_path / "out")]) == 1
    assert "the name of class 1 is ''" in capsys.readouterr().err


def test_predictor_finds_the_prompts(folder: Path) -> None:
    predictor = Predictor(weights=folder, prompts=["mug", "fork"], classes=["fork"], device="cpu")
    assert predictor.labels == LabelSet({0: "mug", 1: "fork"})
    found = predictor(noise())
    assert set(found.names) == {"fork"} and set(found.classes.tolist()) == {1}
    assert found.draw().shape == (48, 80, 3)


def test_predictor_refuses_prompts_that_do_not_fit(folder: Path) -> None:
    with pytest.raises(ValueError, match="there are none: give some"):
        Predictor(weights=folder, device="cpu")
    with pytest.raises(ValueError, match="this model takes no text: leave prompts empty"):
        Predictor(prompts=["mug"], device="cpu")
