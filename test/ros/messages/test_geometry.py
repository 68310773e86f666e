# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Orientation of a box as a quaternion, against the matrix that it represents."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from seg_node.ros.messages.geometry import to_quaternion

RANDOM = np.random.default_rng(5).normal(size=(50, 4))


def rotation(quaternion_xyzw: np.ndarray) -> np.ndarray:
    """Rotate each axis into a column: q e q*, written out."""
    x, y, z, w = quaternion_xyzw
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@pytest.mark.parametrize(
    "quaternion_xyzw",
    [
        *RANDOM / np.linalg.norm(RANDOM, axis=1, keepdims=True),
        np.array([0.0, 0.0, 0.0, 1.0]),
        np.array([1.0, 0.0, 0.0, 0.0]),  # half turns, where w is 0
        np.array([0.6, 0.8, 0.0, 0.0]),
        np.array([0.0, 0.6, 0.8, 1e-9]) / np.sqrt(1 + 1e-18),
    ],
)
def test_the_quaternion_represents_the_rotation(quaternion_xyzw: np.ndarray) -> None:
    found = to_quaternion(rotation(quaternion_xyzw))
    values = np.array([found.x, found.y, found.z, found.w])
    assert found.w >= 0 and abs(np.linalg.norm(values) - 1) < 1e-12
    np.testing.assert_allclose(rotation(values), rotation(quaternion_xyzw), atol=1e-9)
