# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera against its definition."""

import numpy as np

from seg_node.spatial.pinhole import Pinhole

PINHOLE = Pinhole(fx=500.0, fy=400.0, cx=319.5, cy=200.0, image_size=(480, 640))


def test_the_optical_axis_meets_its_own_pixel() -> None:
    np.testing.assert_array_equal(PINHOLE.rays(319.5, 200.0), [0, 0, 1])


def test_rays_go_right_and_down_with_columns_and_rows() -> None:
    np.testing.assert_allclose(PINHOLE.rays([419.5, 319.5], [200, 280]), [[0.2, 0, 1], [0, 0.2, 1]])


def test_a_point_on_a_pixels_ray_is_projected_to_that_pixel() -> None:
    columns, rows = np.array([0.0, 12.25, 639.0]), np.array([479.0, 3.5, 0.0])
    points = PINHOLE.rays(columns, rows) * np.array([[0.3], [1.0], [7.0]])
    np.testing.assert_allclose(PINHOLE.project(points), np.stack([columns, rows], 1), atol=1e-9)


def test_points_behind_the_camera_have_no_pixel() -> None:
    assert np.isnan(PINHOLE.project([[0.1, 0.1, 0.0], [0.1, 0.1, -1.0]])).all()
