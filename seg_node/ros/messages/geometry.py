# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The oriented box of an object as geometry_msgs."""

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from numpy.typing import NDArray

from seg_node.spatial.lift import Object3D


def to_pose(found: Object3D) -> Pose:
    """Centre and orientation of the box: its x, y and z axes are the columns of `axes`."""
    x, y, z = found.centre.tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=to_quaternion(found.axes))


def to_size(found: Object3D) -> Vector3:
    """Lengths of the box's sides along its own x, y and z axes, metres."""
    x, y, z = found.size.tolist()
    return Vector3(x=x, y=y, z=z)


def to_quaternion(rotation: NDArray[np.floating]) -> Quaternion:
    """Convert a rotation matrix: (3, 3), orthonormal with determinant 1.

    Source: the largest eigenvector of Bar-Itzhack's symmetric matrix, "New Method for Extracting the
    Quaternion from a Rotation Matrix" (2000); no case distinction, exact near 180° too.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    symmetric = np.array(
        [
            [xx - yy - zz, 0.0, 0.0, 0.0],
            [yx + xy, yy - xx - zz, 0.0, 0.0],
            [zx + xz, zy + yz, zz - xx - yy, 0.0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(symmetric)  # reads the lower triangle; eigenvalues rise
    x, y, z, w = vectors[:, -1].tolist()
    sign = -1.0 if w < 0 else 1.0  # q and -q are the same rotation: w >= 0 keeps the sign from flickering
    return Quaternion(x=sign * x, y=sign * y, z=sign * z, w=sign * w)
