# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The speed benchmarks still run and write the rows that they promise."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seg_node.types import Instances, MaskCrop

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
KEYS = (
    "system family size batch device precision p50_ms p95_ms stages_ms peak_memory_mb versions date hardware"
)


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def _run(name: str, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--out", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def _rows(name: str, folder: Path) -> list[dict[str, Any]]:
    done = _run(name, folder, "--quick")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads((folder / f"{name}.json").read_text())
    for row in rows:
        assert set(KEYS.split()) <= row.keys()
        assert 0 < row["p50_ms"] <= row["p95_ms"] < 60_000
        assert row["peak_memory_mb"] > 100 and row["batch"] >= 1
        assert all(value >= 0 for value in row["stages_ms"].values())
        assert "torch" in row["versions"] and row["hardware"]
    assert (folder / f"{name}.png").stat().st_size > 0
    # a line of the table for each row, under one of titles and one of dashes
    assert len([line for line in done.stdout.splitlines() if line.startswith("|")]) == 2 + len(rows)
    return rows


def test_model_stands_beside_torchvision_with_the_same_weights(tmp_path: Path) -> None:
    rows = _rows("model", tmp_path)
    assert [(row["system"], row["precision"]) for row in rows] == [
        ("seg_node", "exact"), ("seg_node", "fp32"), ("torchvision", "fp32")
    ]  # fmt: skip
    for row in rows:
        assert row["stages_ms"].keys() == {"prepare", "infer", "assemble", "encode"}
        assert sum(row["stages_ms"].values()) == pytest.approx(row["p50_ms"], rel=0.5)
        assert row["objects"] >= 10 and row["fps"] == pytest.approx(1000 / row["p50_ms"], rel=1e-3)
        assert row["agreement"]["matched"] > 0.9
    exact, _, torchvision = rows
    assert exact["agreement"] == {"matched": 1.0, "score_difference": 0.0, "mean_iou": 1.0}
    assert torchvision["agreement"]["matched"] == 1.0 and torchvision["speedup"] == 1.0


def test_node_is_measured_through_its_topics(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
    (row,) = _rows("node", tmp_path)
    assert row["drops_percent"] < 5
    assert 0 < row["fps"] <= row["peak_fps"] * 1.01 and row["cpu_percent"] > 0
    assert 0 < row["age_p50_ms"] <= row["age_p95_ms"]
    assert 100 < row["rss_mb"] <= row["peak_memory_mb"]


def test_growth_has_a_row_for_every_place_of_every_axis(tmp_path: Path) -> None:
    rows = _rows("growth", tmp_path)
    places = {(row["system"], row["family"], row["axis"], row["objects"], row["batch"]) for row in rows}
    assert len(places) == len(rows)
    for family in ("fixed", "thin"):
        own = {place[2:] for place in places if place[:2] == ("seg_node", family)}
        expected = {("instances", 0, 1), ("instances", 20, 1), ("size", 20, 1)}
        assert own == expected | {("cameras", 20, 1), ("cameras", 20, 2)}
    assert {place[2:] for place in places if place[0] == "torchvision"} == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--families", "mask_rnn"], ["mask_rnn", "mask_rcnn"]),
        (["--sizes", "1280"], ["1280", "WIDTHxHEIGHT"]),
        (["--batches", "0"], ["'0'", "above 0"]),
        (["--precisions", "fp64"], ["fp64", "bf16"]),
        (["--systems", "seg_node,caffe"], ["caffe", "torchvision"]),
        (["--weights", "yolact=none.pth"], ["none.pth", "FAMILY=FILE"]),
        (["--devices", "cuda:99"], ["cuda:99", "choose cpu"]),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: list[str], words: list[str], benchmarks: None, tmp_path: Path
) -> None:
    from common.options import option_parser, read_options

    parser = option_parser("", "thin", "480p", "1", "seg_node")
    arguments = parser.parse_args(["--out", str(tmp_path), *options])
    with pytest.raises((ValueError, RuntimeError, FileNotFoundError)) as error:
        read_options(arguments, ("seg_node", "torchvision"))
    assert all(word in str(error.value) for word in words)


def test_lists_are_separated_by_commas_or_spaces(benchmarks: None, tmp_path: Path) -> None:
    from common.options import option_parser, read_options

    parser = option_parser("", "thin", "480p", "1", "seg_node")
    given = ["--sizes", "480p,1920x1080", "32x24", "--batches", "1", "4,8", "--precisions", "exact"]
    options = read_options(parser.parse_args(["--out", str(tmp_path), *given]), ("seg_node",))
    assert options.sizes == ((480, 640), (1080, 1920), (24, 32))
    assert options.batches == (1, 4, 8) and options.precisions_for("cpu") == ("exact",)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_ends_the_benchmark(tmp_path: Path) -> None:
    done = _run("model", tmp_path, "--devices", "cuda")
    assert done.returncode == 1
    assert "finds 0 usable CUDA GPUs" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "model.json").exists()


@pytest.mark.skipif(find_spec("detectron2") is not None, reason="Detectron2 is installed")
def test_a_system_that_is_not_installed_has_no_rows(tmp_path: Path) -> None:
    done = _run("model", tmp_path, "--systems", "detectron2", "--families", "embedded")
    assert done.returncode == 1
    assert "detectron2: it is not installed" in done.stderr and "can run none of" in done.stderr


def test_agreement_counts_partners_of_the_same_class(benchmarks: None) -> None:
    from common.agreement import agreement

    square = MaskCrop(10, 10, np.ones((20, 20), np.bool_))
    shifted = MaskCrop(11, 10, np.ones((20, 20), np.bool_))  # IoU 19 / 21 = 0.905
    far = MaskCrop(12, 10, np.ones((20, 20), np.bool_))  # 18 / 22 = 0.818
    one = _objects([square, square], [0.9, 0.8], [1, 2])
    assert agreement([one], [one]).matched == 1.0
    both = agreement([one], [_objects([shifted, shifted], [0.85, 0.7], [1, 2])])
    assert both.matched == 1.0 and both.score_difference == pytest.approx(0.1)
    assert both.mean_iou == pytest.approx(19 / 21)
    # the second has another class, then too small an overlap, then is missing: 2 of 4, 2 of 4, 2 of 3 objects
    assert agreement([one], [_objects([square, square], [0.9, 0.8], [1, 3])]).matched == 0.5
    assert agreement([one], [_objects([square, far], [0.9, 0.8], [1, 2])]).matched == 0.5
    assert agreement([one], [_objects([square], [0.9], [1])]).matched == pytest.approx(2 / 3)
    with_empty = _objects([square, MaskCrop.empty()], [0.9, 0.8], [1, 2])
    assert agreement([with_empty], [with_empty]).matched == 1.0
    assert agreement([one], [_objects([], [], [])]).mean_iou == 0.0
    assert agreement([_objects([], [], [])], [_objects([], [], [])]).matched == 1.0


def test_a_typical_threshold_lies_in_the_widest_gap_among_the_fifteenth_to_twenty_fifth(
    benchmarks: None,
) -> None:
    from common.threshold import typical_threshold

    scores = np.linspace(0.9, 0.5, 40)
    scores[18:] -= 0.2  # behind the eighteenth
    found = _objects([MaskCrop.empty()] * 40, scores.tolist(), [0] * 40)
    assert scores[18] < typical_threshold([found]) < scores[17]
    with pytest.raises(RuntimeError, match="10 objects in 1 images"):
        typical_threshold([found.select(np.arange(10))])


def _objects(masks: list[MaskCrop], scores: list[float], class_ids: list[int]) -> Instances:
    count = len(masks)
    return Instances(
        np.zeros((count, 4), np.float32),
        np.array(scores, np.float32),
        np.array(class_ids, np.int32),
        tuple(masks),
        np.arange(1, count + 1, dtype=np.uint32),
    )
