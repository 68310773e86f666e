# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""target_frame: what a user hears without tf2_ros, and with it where the camera was at the image's stamp."""

import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

import rclpy
from geometry_msgs.msg import TransformStamped
from node_harness import wait_until
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock

from seg_node.ros.node.locate import NotLocated, Space
from seg_node.ros.node.target_frame import TargetFrame
from seg_node.spatial.lift import Object3D
from seg_node.types import Frame

SECOND = 10**9
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node("listens", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


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


def test_without_tf2_ros_the_error_names_the_package_to_install(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    with pytest.raises(RuntimeError, match=r"target_frame is 'base'.*tf2_ros.*apt install.*''"):
        TargetFrame(node, "base", [""])


def transform(second: int, x: float, frame: str = "base", child: str = "camera") -> TransformStamped:
    """The child at x in the frame, turned by 180 degrees about z."""
    moved = TransformStamped(child_frame_id=child)
    moved.header.frame_id, moved.header.stamp.sec = frame, second
    moved.transform.translation.x, moved.transform.rotation.z = x, 1.0
    moved.transform.rotation.w = 0.0
    return moved


def x(target: TargetFrame, second: int, camera: str = "") -> float | None:
    """Where a point in the camera's origin is in the target frame; None if TF does not know."""
    found = Object3D(1, 1, 0.5, np.zeros(3), np.zeros(3), np.eye(3), np.ones(3), 9, 1.0)
    frame = Frame(np.zeros((2, 3, 3), np.uint8), "bgr", second * SECOND, "camera")
    try:
        moved = target.history(camera).move(Space((found,), frame, in_camera=True))
    except NotLocated:
        return None
    np.testing.assert_allclose(moved.objects[0].axes[:, 2], [0, 0, 1], atol=1e-9)
    return float(moved.objects[0].centroid[0])


@pytest.mark.usefixtures("tf2")
def test_every_camera_receives_tf_and_a_restart_does_not_disturb_the_other(
    node: Node, spin_until: Callable[[Callable[[], bool], str], None]
) -> None:
    from tf2_msgs.msg import TFMessage

    target = TargetFrame(node, "base", ["left", "right"])
    sender, static = (
        node.create_publisher(TFMessage, "/tf", 10),
        node.create_publisher(TFMessage, "/tf_static", LATCHED),
    )
    static.publish(TFMessage(transforms=[transform(0, 0.0, "rig", "camera")]))
    sender.publish(TFMessage(transforms=[transform(s, float(s), "base", "rig") for s in (100, 102)]))
    spin_until(lambda: x(target, 101, "left") == pytest.approx(101), "the first transforms")
    assert x(target, 101, "right") == pytest.approx(101)
    assert x(target, 200, "left") is None
    for camera in ("left", "right"):
        target.history(camera).saw(101 * SECOND)
    target.history("left").saw(11 * SECOND)
    assert x(target, 101, "left") is None
    assert x(target, 101, "right") == pytest.approx(101)
    sender.publish(TFMessage(transforms=[transform(s, float(s), "base", "rig") for s in (10, 12)]))
    spin_until(lambda: x(target, 11, "left") == pytest.approx(11), "the transforms of the second round")
    assert x(target, 101, "right") == pytest.approx(101)
    target.close()


@pytest.mark.usefixtures("tf2")
def test_transforms_are_cleared_when_the_clock_jumps_back(
    node: Node, spin_until: Callable[[Callable[[], bool], str], None]
) -> None:
    node.set_parameters([Parameter("use_sim_time", value=True)])
    target, clock = TargetFrame(node, "base", [""]), node.create_publisher(Clock, "/clock", 10)

    def tick(second: int) -> None:
        message = Clock()
        message.clock.sec = second
        clock.publish(message)
        now = node.get_clock()
        spin_until(lambda: now.now().nanoseconds == second * SECOND, f"clock {second}")

    wait_until(lambda: clock.get_subscription_count() > 0, 20, "the clock's subscriber")
    tick(100)
    target.set_transform(transform(100, 5.0), "test")
    tick(101)
    assert x(target, 100) == pytest.approx(5)
    tick(3)
    assert x(target, 100) is None
    target.close()


@pytest.mark.usefixtures("tf2")
def test_a_closed_listener_receives_nothing_and_leaves_nothing_behind(node: Node) -> None:
    services = node.get_service_names_and_types_by_node("listens", "/")
    target = TargetFrame(node, "base", ["a", "b"])
    assert node.get_service_names_and_types_by_node("listens", "/") == services
    target.close()
    assert not [s for s in node.subscriptions if s.topic_name in ("/tf", "/tf_static")]
