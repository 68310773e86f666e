"""The benchmarks still run and measure something real."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


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


@pytest.mark.parametrize("count", [0, 1, 20, 100])
def test_fixed_objects_cover_as_much_as_real_ones(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from fixed_model import random_boxes, random_masks

    boxes, masks = random_boxes(count).numpy(), random_masks(count).numpy()
    sides = boxes[:, 2:] - boxes[:, :2]
    assert boxes.shape == (count, 4)
    assert (boxes >= 0).all() and (boxes <= 1.0001).all() and (sides > 0.009).all()
    assert sides.prod(axis=1).sum() == pytest.approx(0.30 * count / 20, rel=0.02)
    assert masks.shape == (count, 28, 28)
    if count >= 20:
        assert (masks >= 0.5).mean() == pytest.approx(0.6, abs=0.05)
