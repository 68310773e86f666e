"""Objects in a frame of the robot: TF at the image's stamp, where tf2_ros is installed."""

from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from seg_node.rigid import RigidTransform

JUMP_NS = 1_000_000_000  # several cameras' stamps differ by less


class TransformError(ValueError):
    """No transform at the image's stamp. `reason` is the token counted in /diagnostics."""

    reason = "no_transform"


class TargetFrame:
    """Listens to /tf and /tf_static on the node's executor and says where the camera was.

    frame_id: what the objects are wanted in, such as base_link.
    Raises RuntimeError when tf2_ros is not installed.
    """

    def __init__(self, node: Node, frame_id: str) -> None:
        try:
            import tf2_ros
        except ImportError as error:
            raise RuntimeError(
                f"parameter target_frame is '{frame_id}', but tf2_ros cannot be imported ({error}); install "
                "tf2_ros_py (apt install ros-$ROS_DISTRO-tf2-ros-py), or set target_frame to ''"
            ) from None
        self.frame_id = frame_id
        self._buffer: Any = tf2_ros.Buffer()
        self._listener: Any = tf2_ros.TransformListener(self._buffer, node)
        self._error: type[Exception] = tf2_ros.TransformException
        self._newest_ns = 0

    def from_camera(self, camera_frame_id: str, stamp_ns: int, timeout_s: float) -> RigidTransform:
        """From the camera's frame to this one at that time (0: the newest there is).

        Waits at most timeout_s for TF to catch up; call it from a thread that does not spin the node.
        Raises TransformError with TF's own words.
        """
        self._forget_at_jump(stamp_ns)
        stamp, timeout = Time(nanoseconds=stamp_ns), Duration(seconds=timeout_s)
        try:
            found = self._buffer.lookup_transform(self.frame_id, camera_frame_id, stamp, timeout).transform
        except self._error as error:
            raise TransformError(
                f"no transform from '{camera_frame_id}' to target_frame '{self.frame_id}' at the image's "
                f"stamp: {error}; is it published, with the same clock?"
            ) from None
        moved, turned = found.translation, found.rotation
        return RigidTransform.of(moved.x, moved.y, moved.z, turned.x, turned.y, turned.z, turned.w)

    def close(self) -> None:
        self._listener.unregister()

    def _forget_at_jump(self, stamp_ns: int) -> None:
        """A bag that starts again: TF would refuse what is older than what it has. Static ones stay."""
        if 0 < stamp_ns < self._newest_ns - JUMP_NS:
            self._buffer.clear()
            self._newest_ns = stamp_ns
        self._newest_ns = max(self._newest_ns, stamp_ns)
