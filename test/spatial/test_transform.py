# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects transformed to another frame, against the formula of a quaternion's rotation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from seg_node.spatial.lift import Object3D
from seg_node.spatial.transform import RigidTransform

CENTROID, CENTRE = np.array([0.1, -0.2, 0.9]), np.array([0.12, -0.18, 0.95])
POINTS = np.array([[0.1, -0.2, 0.9], [0.0, 0.1, 1.0]], np.float32)
AXES = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
FOUND = Object3D(3, 7, 0.5, CENTROID, CENTRE, AXES, np.array([0.3, 0.2, 0.1]), 2, 0.75, POINTS)


def turned(vectors: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Rotate vectors (N, 3) by the unit quaternion x, y, z, w: v + 2 w (u x v) + 2 u x (u x v)."""
    u, w = quaternion[:3], quaternion[3]
    return vectors + 2 * w * np.cross(u, vectors) + 2 * np.cross(u, np.cross(u, vectors))


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_centroids_boxes_and_points_are_transformed_together(quaternion: list[float]) -> None:
    unit, shift = np.array(quaternion) / np.linalg.norm(quaternion), np.array([1.0, -2.0, 0.5])
    (moved,) = RigidTransform.of(1.0, -2.0, 0.5, *unit.tolist()).move([FOUND])
    np.testing.assert_allclose(moved.centroid, turned(CENTROID, unit) + shift, atol=1e-12)
    np.testing.assert_allclose(moved.centre, turned(CENTRE, unit) + shift, atol=1e-12)
    np.testing.assert_allclose(moved.axes, turned(AXES.T, unit).T, atol=1e-12)
    np.testing.assert_allclose(moved.points, turned(POINTS, unit) + shift, atol=1e-6)
    assert moved.points.dtype == np.float32
    assert (moved.id, moved.class_id, moved.score, moved.num_points, moved.valid_ratio) == (
        3,
        7,
        0.5,
        2,
        0.75,
    )
    np.testing.assert_array_equal(moved.size, FOUND.size)


def test_an_object_that_is_not_located_stays_so() -> None:
    nowhere = np.full(3, np.nan)
    lost = Object3D(1, 1, 0.5, nowhere, nowhere, np.eye(3), np.zeros(3), 0, 0.0)
    (moved,) = RigidTransform.of(1, 2, 3, 0, 0, 1, 0).move([lost])
    assert np.isnan([moved.centroid, moved.centre]).all()
    np.testing.assert_array_equal(moved.axes, np.eye(3))


def test_a_quaternion_of_rounded_numbers_is_a_rotation() -> None:
    found = RigidTransform.of(0, 0, 0, 0.0, 0.0, 0.705, 0.71)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(found.rotation) == pytest.approx(1)


NAN, INF = float("nan"), float("inf")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "quaternion",
    [
        (0, 0, 0, 0),
        (NAN, 0, 0, 1),
        (0, 0, 0, INF),
        (0, 0, 0, 2),
        (1, 1, 1, 1),
        (1e200, 0, 0, 0),
        (0, 0, 0, 0.9),
    ],
)
def test_a_quaternion_that_is_not_a_rotation_is_refused(
    quaternion: tuple[float, float, float, float],
) -> None:
    with pytest.raises(ValueError, match="not a unit quaternion"):
        RigidTransform.of(0, 0, 0, *quaternion)


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e300])
@pytest.mark.parametrize("axis", range(3))
def test_a_translation_that_is_not_a_place_is_refused(value: float, axis: int) -> None:
    place = [0.0, 0.0, 0.0]
    place[axis] = value
    with pytest.raises(ValueError, match=r"translation .* not a place"):
        RigidTransform.of(*place, 0, 0, 0, 1)
