"""Rigid motion between frames: where the objects are as another frame sees them. No ROS."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seg_node.spatial.lift import Object3D

UNIT_SLACK = 0.01  # of a quaternion's squared length, as tf2 takes them
FARTHEST = 1e9  # metres, beyond any planet; points there leave float32's precision


@dataclass(frozen=True)
class RigidTransform:
    """p_target = rotation @ p_source + translation. rotation: (3, 3); translation: (3,) metres."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @staticmethod
    def of(x: float, y: float, z: float, qx: float, qy: float, qz: float, qw: float) -> "RigidTransform":
        """Of a geometry_msgs/Transform's translation and unit quaternion; its length may be off a little.

        Raises ValueError for a quaternion of another length, and for a translation that is no place.
        """
        squared = qx * qx + qy * qy + qz * qz + qw * qw
        if not abs(squared - 1) <= UNIT_SLACK:  # nor with NaN
            raise ValueError(
                f"rotation ({qx:g}, {qy:g}, {qz:g}, {qw:g}) is no unit quaternion; check who publishes it"
            )
        if not all(abs(metres) <= FARTHEST for metres in (x, y, z)):
            raise ValueError(
                f"translation ({x:g}, {y:g}, {z:g}) is no place in metres; check who publishes it"
            )
        a, b, c, w = np.array([qx, qy, qz, qw]) / np.sqrt(squared)
        cross = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]])
        return RigidTransform(np.eye(3) + 2 * w * cross + 2 * cross @ cross, np.array([x, y, z], np.float64))

    def move(self, objects: Sequence[Object3D]) -> tuple[Object3D, ...]:
        """The same objects in the target frame: centroids, boxes, points. Sizes and signs of axes stay."""
        return tuple(self._moved(found) for found in objects)

    def _moved(self, found: Object3D) -> Object3D:
        points = found.points
        if len(points):
            points = points @ self.rotation.T.astype(np.float32) + self.translation.astype(np.float32)
        return replace(
            found,
            centroid=self.rotation @ found.centroid + self.translation,
            centre=self.rotation @ found.centre + self.translation,
            # of an object that is not located the axes stay the identity
            axes=self.rotation @ found.axes if found.num_points else found.axes,
            points=points,
        )
