# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The seg_node command: help, version, options and errors; its subcommands have tests of their own."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from seg_node import __version__
from seg_node.cli import main
from seg_node.export.open_model import ModelSource


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    command = [sys.executable, "-m", "seg_node.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_help_imports_nothing_heavy() -> None:
    start = time.monotonic()
    result = run_cli("--help")
    seconds = time.monotonic() - start
    assert result.returncode == 0
    assert all(command in result.stdout for command in ("segment", "fetch-weights", "node"))
    assert seconds < 5, "help is meant to be instant"
    code = (
        "import sys, seg_node.cli\n"
        "try: seg_node.cli.main(['segment', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'cv2', 'numpy', 'rclpy', 'PIL') if name in sys.modules])"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout
    assert listed.splitlines()[-1] == "[]"


def test_without_arguments_it_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([])
    assert capsys.readouterr().out.startswith("usage: seg_node")


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"seg_node {__version__}\n"


@pytest.mark.parametrize("arguments", [["paint"], ["segment"], ["segment", "a.jpg"], ["fetch-weights"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: seg_node" in capsys.readouterr().err


def test_too_little_memory_is_said_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("seg_node.commands.segment.segment", fail)
    assert main(["segment", __file__, "--out", "out"]) == 1
    assert re.fullmatch(r"seg_node: not enough memory .*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("command", "source"),
    [
        (
            "segment a.jpg --out out --model solo --weights w.pth --config c.py --labels l.yaml "
            "--device cpu --precision bf16 --engine e.pt2",
            ModelSource("solo", "w.pth", "c.py", "l.yaml", "cpu", "bf16", "e.pt2"),
        ),
        ("evaluate --images i --coco truth.json --out out --weights w.pth", ModelSource(weights="w.pth")),
        ("export --size 640x480 --out o.onnx --device cpu", ModelSource(device="cpu", precision="auto")),
    ],
)
def test_the_options_of_the_model_reach_the_command(
    command: str, source: ModelSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "i").mkdir()
    for file in ("a.jpg", "w.pth", "c.py", "l.yaml", "e.pt2", "truth.json"):
        (tmp_path / file).touch()
    given: list[tuple[Any, ...]] = []
    name = command.split()[0]
    module = f"seg_node.{'export.command' if name == 'export' else f'commands.{name}'}"
    monkeypatch.setattr(f"{module}.{name}", lambda *arguments, **_: given.append(arguments))
    main(command.split())
    assert given[0][2] == source


def test_node_without_ros_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if re.match(r"rclpy|seg_node\.ros", name)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rclpy", None)
    assert main(["node", "--ros-args", "-p", "device:=cpu"]) == 1
    error = capsys.readouterr().err
    assert "ROS 2 is not in this environment" in error and "source scripts/activate" in error
    assert "Traceback" not in error


def test_node_hands_on_ros_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[list[str]] = []
    fake = type(sys)("seg_node.ros.node.__main__")
    monkeypatch.setattr(fake, "main", lambda argv: received.append(argv), raising=False)
    monkeypatch.setitem(sys.modules, "seg_node.ros.node.__main__", fake)
    assert main(["node", "--ros-args", "-r", "__node:=front", "-p", "x:=1"]) == 0
    assert received == [["--ros-args", "-r", "__node:=front", "-p", "x:=1"]]


def test_an_error_brings_no_control_characters_or_endless_lines_to_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    odd = tmp_path / f"\x1b[31m\udce9{'x' * 200}.png"
    with pytest.raises(SystemExit, match="2"):
        main(["segment", str(odd), "--out", str(tmp_path)])
    text = capsys.readouterr().err
    assert r"\x1b[31m\udce9xxx" in text and "\x1b" not in text
    with pytest.raises(SystemExit, match="2"):
        main(["segment", f"{tmp_path}/{'deep/' * 5000}a.png", "--out", str(tmp_path)])
    assert len(capsys.readouterr().err) < 2500
