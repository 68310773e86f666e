# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A GPU that is lost to the process ends the node, so that whoever supervises it starts it again."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

import torch
from diagnostic_msgs.msg import DiagnosticArray
from faulty_node_control import change_state, faulty_node, level
from lifecycle_msgs.msg import Transition
from node_harness import NODE, START_TIMEOUT_S, NodeProcess, Probe, count, image_message, picture, wait_until
from sensor_msgs.msg import Image

from seg_node.srv import Segment

pytestmark = pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="PyTorch before 2.8")
LOST = (
    "cpu is lost to this process (AcceleratorError: CUDA error: device-side assert triggered); start it again"
)


def assert_ended(node: NodeProcess) -> None:
    assert node.process.wait(60) == 1, node.log
    assert node.log.splitlines()[-1] == f"seg_node: {LOST}"
    assert "Traceback" in node.log and "while stopping" not in node.log


def test_a_frame_that_finds_the_device_lost_ends_the_process(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, {**weights, "always_on": True}) as (node, switch):
        camera = probe.publisher(Image, "/image")
        switch.set("lost")
        camera.publish(image_message(picture(), 1000))
        assert_ended(node)
        assert "frame dropped (device_lost)" in node.log


def test_a_request_that_finds_the_device_lost_is_answered_first(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, weights) as (node, switch):
        switch.set("lost")
        request = Segment.Request(image=image_message(picture(), 1000))
        answer, _ = probe.call(Segment, f"{NODE}/segment", request)
        assert not answer.success and answer.message == LOST
        assert_ended(node)


def test_a_device_lost_while_the_model_warms_up_ends_the_process(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    parameters = {**weights, "autostart": False}
    with faulty_node(tmp_path, parameters, "lost", until="waiting to be configured") as (node, _):
        assert not change_state(probe, Transition.TRANSITION_CONFIGURE)
        assert node.process.wait(START_TIMEOUT_S) == 1, node.log
        assert node.log.splitlines()[-1] == f"seg_node: {LOST}"


def test_running_out_of_memory_drops_only_that_frame(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, {**weights, "always_on": True}) as (node, switch):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        switch.set("memory")
        camera.publish(image_message(picture(), 1000))
        wait_until(lambda: count(reports, "dropped.out_of_memory") == 1, 20, "the count")
        switch.set("")
        camera.publish(image_message(picture(), 2000))
        wait_until(lambda: count(reports, "processed") == 1, 20, "the next frame")
        assert level(reports)[1] != "" and node.process.poll() is None
