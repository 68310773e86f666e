# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""TF for one camera's images; transforms from before a jump in time are discarded."""

import threading
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.time import Time

from seg_node.ros.messages.convert import stamp_to_ns
from seg_node.ros.node.locate import NotLocated, Space
from seg_node.spatial.transform import RigidTransform

CACHE_NS = 10_000_000_000  # what tf2 keeps; it refuses a transform that is older than its newest by more
JUMP_NS = 1_000_000_000  # images out of order differ by less


class TransformHistory:
    """The pose of one camera over time, from a tf2_ros.Buffer of its own.

    A bag or a simulation that starts again begins at older stamps, and tf2 refuses transforms much older than
    those it has. Two things make it forget those (static ones stay): an image's stamp far before the last
    one, and a transform that tf2 would refuse though it is nearer to the images than what tf2 has, which came
    late from the time before the jump. A buffer for each camera: the stamps of one take nothing from another.

    `saw`, `set_transform` and `move` may be called from different threads.
    """

    def __init__(self, buffer: Any, error: type[Exception], target_frame: str) -> None:
        """buffer: keeps CACHE_NS. error: what it raises where there is no transform."""
        self._buffer, self._error, self._target_frame = buffer, error, target_frame
        self._lock = threading.Lock()
        self._image_ns = 0  # stamp of the last image that has one
        self._newest_ns: dict[str, int] = {}  # stamp of the newest transform of each child frame

    def saw(self, stamp_ns: int) -> None:
        """Note the stamp of an image; call it for each one as soon as it is received."""
        if stamp_ns <= 0:
            return
        with self._lock:
            if stamp_ns < self._image_ns - JUMP_NS:
                self._forget()
            self._image_ns = stamp_ns

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        child, stamp_ns = transform.child_frame_id, stamp_to_ns(transform.header.stamp)
        with self._lock:
            newest_ns = self._newest_ns.get(child, stamp_ns)
            if stamp_ns < newest_ns - CACHE_NS and self._is_nearer(stamp_ns, newest_ns):
                self._forget()
                newest_ns = stamp_ns
            self._newest_ns[child] = max(stamp_ns, newest_ns)
            self._buffer.set_transform(transform, authority)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        self._buffer.set_transform_static(transform, authority)

    def forget(self) -> None:
        """Discard all but static transforms: the clock jumped back."""
        with self._lock:
            self._forget()

    def move(self, space: Space) -> Space:
        """Move the objects to the target frame by TF at the image's stamp (0: the newest). Never waits.

        Raises NotLocated and nothing else: no_transform with TF's own words, bad_transform.
        """
        try:
            transform = self._from_camera(space.frame.frame_id, space.frame.stamp_ns)
            return space.moved(transform, self._target_frame)
        except NotLocated:
            raise
        except Exception as error:
            raise NotLocated.unforeseen(error) from error

    def _from_camera(self, camera_frame: str, stamp_ns: int) -> RigidTransform:
        frames = f"from '{camera_frame}' to target_frame '{self._target_frame}'"
        try:
            stamp = Time(nanoseconds=stamp_ns)
            found = self._buffer.lookup_transform(self._target_frame, camera_frame, stamp).transform
        except (self._error, ValueError, OverflowError) as error:  # the last two: of the arguments
            raise NotLocated(
                "no_transform",
                f"no transform {frames} at the image's stamp: {error}; is it published, with the same clock?",
            ) from None
        shift, turn = found.translation, found.rotation
        try:
            return RigidTransform.of(shift.x, shift.y, shift.z, turn.x, turn.y, turn.z, turn.w)
        except ValueError as error:
            raise NotLocated("bad_transform", f"{frames}: {error}") from error

    def _is_nearer(self, stamp_ns: int, than_ns: int) -> bool:
        """Return whether the first stamp is nearer to the images than the second."""
        return abs(stamp_ns - self._image_ns) < abs(than_ns - self._image_ns)

    def _forget(self) -> None:
        self._buffer.clear()
        self._newest_ns.clear()
