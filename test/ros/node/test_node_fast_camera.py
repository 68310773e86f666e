# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A camera faster than the model: results stay fresh, services answer, every frame is accounted for."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from diagnostic_msgs.msg import DiagnosticArray
from node_harness import FRAME_ID, NODE, Probe, count, diagnostics, picture, running_node, wait_until

from seg_node.msg import FrameTiming, InstanceMaskArray

HELPERS = Path(__file__).resolve().parents[2] / "helpers"


def test_results_stay_fresh_with_a_fast_camera_and_a_slow_model(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    """720p at 60 Hz from another process; the model sees a large input and takes far longer."""
    config = tmp_path / "slow.yaml"
    config.write_text("min_size: 480\nmax_size: 900\n")
    np.save(tmp_path / "picture.npy", picture(720, 1280))
    with running_node(tmp_path, {**weights, "model.config": str(config)}, {"image": "/fast/image"}):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        timings = probe.listen(FrameTiming, f"{NODE}/timing")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        script = HELPERS / "camera_process.py"
        command = [sys.executable, script, "/fast/image", tmp_path / "picture.npy", "60", "600", FRAME_ID]
        camera = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: len(heard) >= 1, 30, "the first output")
        answer_s = [probe.get_parameter("score_threshold")[1] for _ in range(10)]
        change_s = [probe.set_parameter("min_area", area)[1] for area in range(1, 6)]
        lines, _ = camera.communicate(timeout=60)
        wait_until(lambda: count(reports, "received") == done(reports), 20, "the sums")
    sent = {(int(sec), int(nanosec)) for _, sec, nanosec in (line.split() for line in lines.splitlines())}
    stamps = [(output.header.stamp.sec, output.header.stamp.nanosec) for output in heard]
    assert set(stamps) <= sent and stamps == sorted(set(stamps))
    assert {output.header.frame_id for output in heard} == {FRAME_ID}
    assert sorted(answer_s)[5] < 0.1 and sorted(change_s)[2] < 0.1
    assert 4 <= len(timings) < 300, "the model was not slower than the camera"
    # A queue would make every result older than the one before; newest-wins keeps age near two frames' work.
    work_ms = [t.prepare_ms + t.infer_ms + t.assemble_ms for t in timings]
    ages = [timing.age_ms for timing in timings]
    half = len(ages) // 2
    assert np.median(ages[half:]) < 3 * np.median(work_ms) + 200
    assert count(reports, "dropped.replaced_by_newer") > len(timings)
    assert diagnostics(reports)["device"] == "cpu"


def test_images_lost_between_camera_and_node_are_counted_and_the_cure_is_named(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    """A camera without the Fast DDS profile: its shared-memory segment is smaller than one 720p image."""
    np.save(tmp_path / "picture.npy", picture(720, 1280))
    with running_node(tmp_path, weights, {"image": "/fast/image"}) as node:
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        script = HELPERS / "camera_process.py"
        command = [sys.executable, script, "/fast/image", tmp_path / "picture.npy", "30", "90", FRAME_ID]
        stock = {name: value for name, value in os.environ.items() if "DEFAULT_PROFILES_FILE" not in name}
        subprocess.run([str(part) for part in command], env=stock, stdout=subprocess.DEVNULL, check=True)
        wait_until(lambda: count(reports, "warned.lost_in_transport") > 10, 20, "the count")
        lost, received = count(reports, "warned.lost_in_transport"), count(reports, "received")
        assert lost + received <= 90
        assert "config/fastdds_images.xml" in node.log


def done(reports: list[DiagnosticArray]) -> int:
    values = diagnostics(reports)
    return int(values.get("processed", -1)) + int(values.get("dropped", 0))
