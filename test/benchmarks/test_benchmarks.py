# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks still run and measure something real."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_overhead_measures_every_step_of_a_frame(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
    command = [sys.executable, str(BENCHMARKS / "overhead.py"), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads((tmp_path / "overhead.json").read_text())["cells"]
    for step in ("transport", "take", "wait", "decode", "prepare", "assemble", "publish", "node"):
        p50, p95 = cell["ms"][step]
        assert 0 < p50 <= p95 < 10_000, step
    assert 480 * 640 * 2 < cell["bytes"]["panoptic"] < 480 * 640 * 2 + 10_000
    assert 20_000 < cell["bytes"]["instances"] < 200_000
    assert "| 640x480 | 20 |" in done.stdout
    assert len((tmp_path / "overhead.csv").read_text().splitlines()) == 1 + cell["frames"]
    assert (tmp_path / "overhead.png").stat().st_size > 0


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("missing.json", 2), (None, 2)])
def test_tables_describes_its_argument(argument: str | None, code: int, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "tables.py"), *([argument] if argument else [])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert "usage: tables.py" in done.stdout + done.stderr


@pytest.mark.parametrize("count", [0, 1, 20, 100])
def test_fixed_objects_cover_as_much_as_real_ones(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from common.fixed_model import random_boxes, random_masks

    boxes, masks = random_boxes(count).numpy(), random_masks(count).numpy()
    sides = boxes[:, 2:] - boxes[:, :2]
    assert boxes.shape == (count, 4)
    assert (boxes >= 0).all() and (boxes <= 1.0001).all() and (sides > 0.009).all()
    assert sides.prod(axis=1).sum() == pytest.approx(0.30 * count / 20, rel=0.02)
    assert masks.shape == (count, 28, 28)
    if count >= 20:
        assert (masks >= 0.5).mean() == pytest.approx(0.6, abs=0.05)


DEMO = BENCHMARKS.parent / "demo/tabletop"


def test_every_object_of_the_rendered_stream_keeps_one_id(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    monkeypatch.syspath_prepend(BENCHMARKS)
    from common.tracking_scenes import perturbed, read_truth
    from tracking import track

    from seg_node.track import TrackOptions

    scene = perturbed(*read_truth(DEMO), dropped=0.1, wrong_class=0.05, seed=1)
    objects = {thing.id for things in scene.truth for thing in things}
    found = sum(map(len, scene.found))
    assert len(objects) == 13 and found == pytest.approx(0.9 * 13 * 150, rel=0.03)
    names: dict[int, set[int]] = {}
    for things, instances, ids in zip(scene.truth, scene.found, track(scene, TrackOptions()), strict=True):
        for mask, number in zip(instances.masks, ids, strict=True):
            names.setdefault(number, set()).add(_nearest(things, mask))
    assert sorted(next(iter(name)) for name in names.values()) == sorted(objects)
    assert all(len(name) == 1 for name in names.values())


def test_ids_are_scored_as_motmetrics_does(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("motmetrics", reason="motmetrics is not installed")
    monkeypatch.syspath_prepend(BENCHMARKS)
    from common.tracking_scenes import perturbed, read_truth
    from tracking import score

    stamps_ns, truth = read_truth(DEMO)
    scene = perturbed(stamps_ns[:10], truth[:10], dropped=0.0, wrong_class=0.0, seed=1)
    pairs = zip(scene.truth, scene.found, strict=True)
    right = [[_nearest(things, mask) for mask in found.masks] for things, found in pairs]
    scores = score(scene, right)
    assert scores["recall"] > 0.95 and scores["idf1"] == pytest.approx(scores["detection_f1"], abs=1e-3)
    # One object has another id from the sixth frame on: it is known for half of the time.
    first = truth[0][0].id
    changed = right[:5] + [[99 if number == first else number for number in ids] for ids in right[5:]]
    assert score(scene, changed)["num_switches"] == 1
    assert score(scene, changed)["idf1"] == pytest.approx(scores["idf1"] * (1 - 0.5 / 13), abs=2e-3)


def _nearest(things: list[Any], mask: Any) -> int:
    """Id of the thing that shares most with the mask."""
    from seg_node.masks.overlap import intersection_areas

    return int(things[intersection_areas([thing.mask for thing in things], [mask]).argmax()].id)
