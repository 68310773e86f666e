# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The warning of a topic that is silent: once for each stall, with what is published instead."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

import rclpy
from node_harness import wait_until
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from seg_node.ros.common.topics import LONGEST_TOPIC, input_qos
from seg_node.ros.node import no_data_warning
from seg_node.ros.node.no_data_warning import NoDataWarning

OTHER = "/camera/image/compressed"
ADVICE = (OTHER, "image_transport to compressed")


@dataclass
class Log:
    """In the place of the node's."""

    warnings: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def info(self, text: str) -> None:
        self.infos.append(text)


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node("listens", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def log(node: Node, monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(node, "get_logger", lambda: log)
    monkeypatch.setattr(no_data_warning, "NO_DATA_S", 0.0)
    monkeypatch.setattr(no_data_warning, "CHECK_S", 0.01)
    return log


@pytest.fixture
def spin_until(node: Node) -> Callable[[Callable[[], bool], str], None]:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def spin_until(condition: Callable[[], bool], what: str) -> None:
        def spun() -> bool:
            executor.spin_once(timeout_sec=0.01)
            return condition()

        wait_until(spun, 20, what)

    return spin_until


def watch(node: Node, topic: str = "/camera/image", other: tuple[str, str] = ADVICE) -> NoDataWarning:
    subscription = node.create_subscription(Image, topic, lambda _: None, input_qos())
    return NoDataWarning(node, subscription, "image", [other], Clock(clock_type=ClockType.STEADY_TIME))


def test_every_stall_is_warned_of_once_and_its_end_is_logged(
    node: Node, log: Log, spin_until: Callable[[Callable[[], bool], str], None]
) -> None:
    watched = watch(node)
    ticks: list[int] = []
    for stall in (1, 2, 3):
        spin_until(lambda: len(log.warnings) >= stall, "the warning")  # noqa: B023
        checks = node.create_timer(no_data_warning.CHECK_S, lambda: ticks.append(1))
        ticks.clear()
        spin_until(lambda: len(ticks) > 5, "further checks")
        node.destroy_timer(checks)
        assert len(log.warnings) == stall
        watched.heard()
        assert len(log.infos) == stall
    assert log.warnings[0].startswith("no image has come on /camera/image for")
    assert all(text.startswith("no more image has come on /camera/image") for text in log.warnings[1:])
    assert all(text.startswith("image comes on /camera/image, after") for text in log.infos)


@pytest.mark.parametrize("is_published", [True, False])
def test_a_camera_on_the_other_transport_is_named_with_the_cure(
    is_published: bool, node: Node, log: Log, spin_until: Callable[[Callable[[], bool], str], None]
) -> None:
    if is_published:
        other = Node("camera", context=node.context)
        other.create_publisher(CompressedImage, OTHER, 5)
        spin_until(lambda: node.count_publishers(OTHER) > 0, "the camera")
    watch(node)
    spin_until(lambda: bool(log.warnings), "the warning")
    cure = f"; but {OTHER} is published: set image_transport to compressed"
    assert log.warnings[0].endswith(cure) == is_published
    if is_published:
        other.destroy_node()


def test_invalid_topic_names_cause_no_error(
    node: Node,
    log: Log,
    spin_until: Callable[[Callable[[], bool], str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic = "/" + "a" * (LONGEST_TOPIC - 1)
    there = [("/cam-1/image", ["sensor_msgs/msg/Image"])]  # of a plain DDS program
    monkeypatch.setattr(node, "get_topic_names_and_types", lambda: there)
    watch(node, topic, (f"{topic}/compressed", "image_transport to compressed"))
    spin_until(lambda: bool(log.warnings), "the warning")
    assert log.warnings[0].endswith("topics on which Image is published: none")
