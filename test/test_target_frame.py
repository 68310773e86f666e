"""target_frame: what a user hears without tf2_ros, and with it where the camera was at the image's stamp."""

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from seg_node.ros.target_frame import TargetFrame, TransformError

HAS_TF2 = importlib.util.find_spec("tf2_ros") is not None
SECOND = 10**9


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node("listens", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.skipif(HAS_TF2, reason="tf2_ros is installed")
def test_without_tf2_ros_the_error_says_what_to_install(node: Node) -> None:
    with pytest.raises(RuntimeError, match=r"target_frame is 'base'.*tf2_ros.*apt install.*''"):
        TargetFrame(node, "base")


@pytest.mark.skipif(not HAS_TF2, reason="tf2_ros is not installed")
def test_the_camera_is_where_tf_says_at_the_stamp(node: Node) -> None:
    from tf2_msgs.msg import TFMessage

    target = TargetFrame(node, "base")
    sender = node.create_publisher(TFMessage, "/tf", 10)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def send(*places: tuple[int, float]) -> None:
        """The camera at x in base, turned by 180 degrees about z, at these seconds."""
        for second, x in places:
            moved = TransformStamped(child_frame_id="camera")
            moved.header.frame_id, moved.header.stamp.sec = "base", second
            moved.transform.translation.x, moved.transform.rotation.z = x, 1.0
            moved.transform.rotation.w = 0.0
            sender.publish(TFMessage(transforms=[moved]))
        for _ in range(20):
            executor.spin_once(timeout_sec=0.05)

    send((100, 1.0), (102, 3.0))
    found = target.from_camera("camera", 101 * SECOND, 0.0)
    np.testing.assert_allclose(found.translation, [2, 0, 0], atol=1e-9)
    np.testing.assert_allclose(found.rotation, np.diag([-1, -1, 1]), atol=1e-9)
    with pytest.raises(TransformError, match="no transform from 'camera' to target_frame 'base'"):
        target.from_camera("camera", 200 * SECOND, 0.05)
    with pytest.raises(TransformError):  # a bag starts again: what came before is forgotten
        target.from_camera("camera", 11 * SECOND, 0.0)
    send((10, 5.0), (12, 7.0))
    np.testing.assert_allclose(
        target.from_camera("camera", 11 * SECOND, 0.0).translation, [6, 0, 0], atol=1e-9
    )
    target.close()
