# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the real node between a camera process and a subscriber process and notes what every frame cost."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import rclpy
from common.fixed_model import fixed_model
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from seg_node.preprocess.prepare import InputSpec
from seg_node.ros.messages.convert import stamp_to_ns
from seg_node.ros.messages.received_image import read_image
from seg_node.ros.node.inputs import Inputs
from seg_node.ros.node.node import SegNode

TRAFFIC = Path(__file__).with_name("traffic.py")
TIMEOUT_S = 20.0  # for the processes to find each other
LAST_RESULT_S = 0.5

# The node's own work on a frame. Preparing the network's input is told apart: model timings often hold it.
STEPS = ("take", "wait", "decode", "assemble", "publish")


@dataclass(frozen=True)
class Cell:
    """One measurement: image size, objects in the image, and what is asked of the node.

    input: whose size and colours the network wants, "torchvision" or "embedded".
    """

    height: int
    width: int
    instances: int
    encoding: str = "mono8"
    panoptic: bool = False
    input: str = "torchvision"


@dataclass(frozen=True)
class Costs:
    """milliseconds: of each frame by step. sizes: bytes of a serialized message by topic."""

    milliseconds: list[dict[str, float]]
    sizes: dict[str, int]


class MeasuredInputs(Inputs):
    """The inputs as they are; they note only when images came and what the executor's thread spent."""

    received_ms: ClassVar[dict[int, dict[str, float]]] = {}  # by stamp in nanoseconds
    _thread_s = 0.0

    def _on_image(self, data: bytes) -> None:
        stamp_ns = stamp_to_ns(read_image(data).header.stamp)
        transport_ms = (self._node.get_clock().now().nanoseconds - stamp_ns) / 1e6
        super()._on_image(data)
        before, self._thread_s = self._thread_s, time.thread_time()
        self.received_ms[stamp_ns] = {"transport": transport_ms, "take": (self._thread_s - before) * 1e3}


def measure(cell: Cell, spec: InputSpec, frames: int, warm_up: int, rate_hz: float) -> Costs:
    """The costs of `frames` frames (fewer where newer ones replaced them) after `warm_up` others.

    Raises RuntimeError when the processes do not find each other or many results are missing.
    """
    topics = ["instances", "panoptic"] if cell.panoptic else ["instances"]
    model = fixed_model(cell.instances, spec)
    rclpy.init()
    MeasuredInputs.received_ms.clear()
    with (
        patch("seg_node.export.open_model.load_model", return_value=model),
        patch("seg_node.ros.node.camera.Inputs", MeasuredInputs),
    ):
        # exact: prepare is then what torchvision does too
        parameters = {"mask_encoding": cell.encoding, "precision": "exact"}
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = SegNode(parameter_overrides=overrides)
        if not node.start():
            raise RuntimeError("the node did not start; see its log above")
    try:
        with (
            process("subscriber", *topics) as subscriber,
            process("camera", cell.height, cell.width, rate_hz),
        ):
            _receive(node, topics, warm_up + frames, rate_hz)
            subscriber.terminate()
            heard = json.loads(subscriber.communicate(timeout=TIMEOUT_S)[0])
    finally:
        node.destroy_node()
        rclpy.shutdown()
    return _join(MeasuredInputs.received_ms, heard, warm_up)


@contextmanager
def process(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """benchmarks/common/traffic.py in the role that the arguments say."""
    command = [sys.executable, str(TRAFFIC), *map(str, arguments)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(TIMEOUT_S)


def _receive(node: SegNode, topics: list[str], count: int, rate_hz: float) -> None:
    """Let the node work until `count` images came that had a subscriber."""
    received = MeasuredInputs.received_ms
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    outputs = [node.resolve_topic_name(f"~/{topic}") for topic in (*topics, "timing")]
    end = time.monotonic() + TIMEOUT_S
    while not (received and all(map(node.count_subscribers, outputs))):
        executor.spin_once(timeout_sec=1.0)
        if time.monotonic() > end:
            raise RuntimeError(f"no image or no subscriber within {TIMEOUT_S} s")
    received.clear()
    end = time.monotonic() + TIMEOUT_S + 2 * count / rate_hz
    while len(received) < count:
        executor.spin_once(timeout_sec=1.0)
        if time.monotonic() > end:
            raise RuntimeError(f"only {len(received)} of {count} images came at {rate_hz} Hz")
    time.sleep(LAST_RESULT_S)
    executor.shutdown()


def _join(received_ms: dict[int, dict[str, float]], heard: dict[str, Any], warm_up: int) -> Costs:
    results = {int(stamp): steps for stamp, steps in heard["timing"].items()}
    rows = [{**ms, **results[stamp]} for stamp, ms in received_ms.items() if stamp in results][warm_up:]
    if len(rows) + warm_up < 0.8 * len(received_ms):
        raise RuntimeError(f"{len(received_ms)} images gave {len(rows)} results; is the machine overloaded?")
    for row in rows:
        row["node"] = sum(row[step] for step in STEPS)
    return Costs(rows, {topic: sizes[-1] for topic, sizes in heard["bytes"].items()})
