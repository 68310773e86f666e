# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms of objects between coordinate frames. No ROS."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from seg_node.spatial.lift import Object3D

NORM_TOLERANCE = 0.01  # of a quaternion's squared norm, as in tf2
MAX_TRANSLATION_M = 1e9  # larger than any planet


@dataclass(frozen=True)
class RigidTransform:
    """p_target = rotation @ p_source + translation. rotation: (3, 3); translation: (3,) metres."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @staticmethod
    def of(x: float, y: float, z: float, qx: float, qy: float, qz: float, qw: float) -> "RigidTransform":
        """Build it from the translation and quaternion of a geometry_msgs/Transform.

        Raises ValueError for a quaternion that is not of unit length within NORM_TOLERANCE, and for a
        translation that is not finite or over MAX_TRANSLATION_M.
        """
        squared = qx * qx + qy * qy + qz * qz + qw * qw
        if not abs(squared - 1) <= NORM_TOLERANCE:  # also true for NaN
            raise ValueError(
                f"rotation ({qx:g}, {qy:g}, {qz:g}, {qw:g}) is not a unit quaternion; check its publisher"
            )
        if not all(abs(metres) <= MAX_TRANSLATION_M for metres in (x, y, z)):
            raise ValueError(
                f"translation ({x:g}, {y:g}, {z:g}) is not a place in metres; check its publisher"
            )
        rotation = Rotation.from_quat((qx, qy, qz, qw)).as_matrix()  # of the normalised quaternion
        return RigidTransform(rotation, np.array([x, y, z], np.float64))

    def move(self, objects: Sequence[Object3D]) -> tuple[Object3D, ...]:
        """Transform centroids, boxes and points to the target frame. Sizes and signs of axes stay."""
        return tuple(self._moved(found) for found in objects)

    def _moved(self, found: Object3D) -> Object3D:
        points = found.points
        if len(points):
            points = points @ self.rotation.T.astype(np.float32) + self.translation.astype(np.float32)
        return replace(
            found,
            centroid=self.rotation @ found.centroid + self.translation,
            centre=self.rotation @ found.centre + self.translation,
            # the axes of an object that is not located stay the identity
            axes=self.rotation @ found.axes if found.num_points else found.axes,
            points=points,
        )
