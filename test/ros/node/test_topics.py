# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""QoS of inputs and outputs, and its overrides."""

from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from std_msgs.msg import Header

from seg_node.ros.common.topics import create_output, input_qos


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context)
    override = Parameter("qos_overrides./first.publisher.reliability", value="best_effort")
    node = rclpy.create_node("topics", context=context, parameter_overrides=[override])
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_an_override_of_one_output_leaves_the_others_reliable(node: Node) -> None:
    first, second = create_output(node, Header, "first"), create_output(node, Header, "second")
    assert first.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert second.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_the_input_matches_every_camera() -> None:
    assert input_qos().reliability == ReliabilityPolicy.BEST_EFFORT
