# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Help and wrong usage answer before torch, OpenCV or ROS is loaded, which takes seconds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import seg_node
from seg_node.ros.node.arguments import INPUTS, OUTPUTS
from seg_node.ros.node.parameters import PARAMETERS

HEAVY = ("torch", "torchvision", "cv2", "rclpy", "PIL", "onnxruntime")
# runs command lines in one process: prints of each the exit status and output, at the end what was imported
PROGRAM = f"""
import contextlib, io, json, sys
from seg_node.cli import main

def answer(arguments):
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
    return status, text.getvalue()

answers = [answer(arguments) for arguments in json.loads(sys.argv[1])]
print(json.dumps([answers, [name for name in {HEAVY!r} if name in sys.modules]]))
"""

WRONG = {
    "segment nowhere.jpg --out out": "nowhere.jpg: no such image, video, bag or folder",
    "segment {file} --out out --model yolo99": "model family 'yolo99' is not known; choose from auto",
    "segment {file} --out out --weights none.pth": "none.pth: no such weights file",
    "segment {file} --out out --labels none.yaml": "none.yaml: no such file",
    "segment {file} --out {file}": "a file is in its place",
    "segment {file} --out out --score-threshold 7": "give a number from 0 to 1",
    "evaluate --images none --out out": "none: no such folder",
    "evaluate --images . --out out": "no ground truth is given",
    "export --size 640 --out a.pt2": "'640' is not WIDTHxHEIGHT",
    "export --size 640x480 --out a.zip": "must end in .pt2",
    "train --init embedded --out out --steps 1 --data a.json --device tpu": "device 'tpu' is not known",
    "node --frames 3": "unrecognized arguments: --frames 3",
    "node -p device:=cpu": "put --ros-args before them",
    "node --ros-args -p image:=/camera/image_raw": "image is a topic: use -r image:=/camera/image_raw",
    "node --ros-args -p instances:=/found": "use -r ~/instances:=/found",
    "play nowhere.mp4": "nowhere.mp4: no such image, video, bag or folder",
    "view --save a.rrd --serve": "not allowed with argument --save",
    "demo --video none.mp4": "none.mp4: no such file",
}


def answers(lines: list[str]) -> list[tuple[int, str]]:
    commands = json.dumps([line.format(file=__file__).split() for line in lines])
    run = [sys.executable, "-c", PROGRAM, commands]
    printed = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout
    given, imported = json.loads(printed)
    assert imported == []
    return given


def test_wrong_usage_is_answered_with_status_2_before_heavy_imports() -> None:
    for (status, text), (line, message) in zip(answers(list(WRONG)), WRONG.items(), strict=True):
        assert status == 2 and message in text, line


def test_help_answers_before_heavy_imports() -> None:
    commands = ("segment", "evaluate", "train", "export", "fetch-weights", "node", "play", "view", "demo")
    for status, text in answers([f"{command} --help" for command in commands]):
        assert status == 0 and text.startswith("usage: "), text


def test_the_nodes_help_lists_its_topics_and_parameters() -> None:
    ((_, text),) = answers(["node --help"])
    for name in (*INPUTS, *OUTPUTS, *(row.name for row in PARAMETERS)):
        assert re.search(rf"^  {re.escape(name)}( |$)", text, re.MULTILINE), name


def test_the_nodes_help_knows_every_output() -> None:
    source = (Path(seg_node.__file__).parent / "ros/node/outputs.py").read_text()
    published = re.findall(r"self\._(?:create|publisher)\(\s*[\w.]+, \"(\w+)\"", source)
    assert len(published) > 8
    assert set(published) <= set(OUTPUTS)
