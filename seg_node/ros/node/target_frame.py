# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects in a frame of the robot: TF for each camera, where tf2_ros is installed."""

from collections.abc import Iterable
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

from seg_node.ros.node.transform_history import CACHE_NS, JUMP_NS, TransformHistory


class TargetFrame:
    """Listens to /tf and /tf_static on the node's executor, once for all cameras.

    Raises RuntimeError when tf2_ros is not installed.
    """

    def __init__(self, node: Node, frame_id: str, cameras: Iterable[str]) -> None:
        """frame_id: what the objects are wanted in, such as base_link. cameras: their names."""
        try:
            import tf2_ros
        except ImportError as error:
            raise RuntimeError(
                f"parameter target_frame is '{frame_id}', but tf2_ros cannot be imported ({error}); install "
                "tf2_ros_py (apt install ros-$ROS_DISTRO-tf2-ros-py), or set target_frame to ''"
            ) from None
        self._histories = {
            camera: TransformHistory(
                tf2_ros.Buffer(Duration(nanoseconds=CACHE_NS)), tf2_ros.TransformException, frame_id
            )
            for camera in cameras
        }
        self._listener: Any = tf2_ros.TransformListener(self, node)
        # A buffer with `node` would do this too, but offer a service for each camera.
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-JUMP_NS), on_clock_change=True
        )
        self._jump_handle = node.get_clock().create_jump_callback(threshold, post_callback=self._on_jump)

    def history(self, camera: str) -> TransformHistory:
        """Return the TF history of the camera of that name."""
        return self._histories[camera]

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Called by the listener, as a Buffer's."""
        for history in self._histories.values():
            history.set_transform(transform, authority)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Called by the listener, as a Buffer's."""
        for history in self._histories.values():
            history.set_transform_static(transform, authority)

    def close(self) -> None:
        self._listener.unregister()
        self._jump_handle.unregister()

    def _on_jump(self, jump: TimeJump) -> None:
        """Discard transforms when a simulation, or a bag with /clock, starts again."""
        for history in self._histories.values():
            history.forget()
