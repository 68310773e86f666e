# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Each image is handed on with its depth image and its calibration."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

import rclpy
from depth_camera import TOPICS, calibration, depth_message, wall
from node_harness import image_message, picture, wait_until
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from seg_node.ros.node.diagnostics import FrameStatistics
from seg_node.ros.node.faults import Faults
from seg_node.ros.node.inputs import Arrival, Inputs
from seg_node.ros.node.options import DEFAULTS


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context)
    found = rclpy.create_node("camera", context=context)
    yield found
    found.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def arrivals() -> list[Arrival]:
    return []


@pytest.fixture
def inputs(node: Node, arrivals: list[Arrival]) -> Iterator[Inputs]:
    statistics = FrameStatistics()
    options = replace(DEFAULTS, depth_enabled=True)
    steady = Clock(clock_type=ClockType.STEADY_TIME)
    faults = Faults(statistics, node.get_logger())
    found = Inputs(node, "", options, statistics, faults, arrivals.append, steady, lambda _: None)
    yield found
    found.close()


def test_an_image_keeps_its_calibration_and_one_before_the_first_takes_the_newest(
    node: Node, inputs: Inputs, arrivals: list[Arrival]
) -> None:
    colour, depth = (node.create_publisher(Image, topic, 10) for topic in TOPICS[:2])
    info = node.create_publisher(CameraInfo, TOPICS[2], 10)
    for publisher in (colour, depth, info):
        wait_until(lambda found=publisher: found.get_subscription_count() == 1, 10, "the subscription")

    def send(stamp: int) -> None:
        depth.publish(depth_message(wall(), stamp))
        colour.publish(image_message(picture(), stamp))
        wait_until(lambda: len(arrivals) == stamp // 1000, 10, "the image")

    def zoom(focal: float) -> None:
        info.publish(calibration(1000, focal))
        wait_until(lambda: focal_length(inputs.camera_info) == focal, 10, "the CameraInfo")

    send(1000)
    assert [found.calibration() for found in arrivals] == [None]
    zoom(200.0)
    send(2000)
    assert focal_lengths(arrivals) == [200.0, 200.0]
    zoom(400.0)
    send(3000)
    assert focal_lengths(arrivals) == [400.0, 200.0, 400.0]
    assert all(found.depth is not None for found in arrivals)


def focal_lengths(arrivals: list[Arrival]) -> list[Any]:
    return [focal_length(found.calibration()) for found in arrivals]


def focal_length(info: CameraInfo | None) -> float | None:
    return None if info is None else float(info.k[0])
