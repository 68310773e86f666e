# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The programs in docs/consumers.md and README.md, as printed there, against the real node."""

import importlib.util
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from depth_wall import HEIGHT, WIDTH, wall
from node_harness import Probe, image_message, picture, running_node
from sensor_msgs.msg import CameraInfo, Image

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "docs/consumers.md", ROOT / "README.md"]
PROGRAMS = {
    found[1]: code
    for doc in DOCS
    for code in re.findall(r"^```python\n(.*?)^```", doc.read_text(), re.MULTILINE | re.DOTALL)
    if (found := re.search(r'create_node\("(\w+)"\)', code))  # README has programs without ROS, too
}
PRINTED = {
    "planner": r"\S+ \S.* \d\.\d\d \d+ px",
    "masks": r"\S+ #\d+ around pixel \(\d+, \d+\)",
    "ids": r"\S+ #\d+, known for (?!0\.0)\d+\.\d s",
    "objects": r"\S+ #\d+ 1\.000 m away, \d\.\d{3} m long",
    "instance_map": r"instance \d+: \d+ px are its own",
    "class_map": r"[\w ]+: \d+ px",
}
NEEDS = {"class_map": "vision_msgs"}
PATIENCE_S = 40.0


def test_every_program_that_prints_is_run() -> None:
    assert PROGRAMS.keys() == PRINTED.keys() | {"scene"}  # that one needs moveit_msgs
    for code in PROGRAMS.values():
        compile(code, "<documentation>", "exec")


def test_the_programs_print_what_the_node_sees(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    wanted = [name for name in PRINTED if name not in NEEDS or importlib.util.find_spec(NEEDS[name])]
    with running_node(tmp_path, with_depth):
        running = {name: start(PROGRAMS[name], tmp_path / name) for name in wanted}
        try:
            texts = show_images_until(probe, {name: tmp_path / name for name in wanted})
        finally:
            for process in running.values():
                process.send_signal(signal.SIGINT)
            ends = {name: process.wait(30) for name, process in running.items()}
    for name, text in texts.items():
        assert has_printed(name, text), f"{name}: {text}"
        assert ends[name] == 0 and "Traceback" not in (tmp_path / name).read_text(), name


def has_printed(name: str, text: str) -> bool:
    return re.search(f"^{PRINTED[name]}$", text, re.MULTILINE) is not None


def start(code: str, output: Path) -> "subprocess.Popen[bytes]":
    with output.open("w") as file:
        return subprocess.Popen([sys.executable, "-u", "-c", code], stdout=file, stderr=subprocess.STDOUT)


def show_images_until(probe: Probe, outputs: dict[str, Path]) -> dict[str, str]:
    """What each program has printed when all have printed what they should, or after PATIENCE_S."""
    camera = probe.publisher(Image, "/image")
    camera_info = probe.publisher(CameraInfo, "/camera_info")
    depth = probe.publisher(Image, "/depth")
    texts = {name: "" for name in outputs}
    for stamp_ms in range(1000, 1000 + int(PATIENCE_S * 1000), 200):
        image = image_message(picture(HEIGHT, WIDTH), stamp_ms)
        depth_image, info = wall(image)
        camera_info.publish(info)
        depth.publish(depth_image)
        camera.publish(image)
        time.sleep(0.2)
        texts = {name: output.read_text() for name, output in outputs.items()}
        if all(has_printed(name, text) for name, text in texts.items()):
            break
    return texts
