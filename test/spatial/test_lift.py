# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects lifted from analytic scenes: boxes of known pose, imprecise masks, depth with holes and noise."""

import numpy as np
import pytest
from box_scene import PINHOLE, Box, axes_error_deg, before_wall, grown, instances
from numpy.typing import NDArray

from seg_node.images.depth import DepthImage
from seg_node.spatial.lift import DepthSizeError, LiftOptions, Object3D, lift_instances
from seg_node.types import Instances

# Three faces visible of each: from above, corner first, flat, long and far, small and near, off the axis.
BOXES = (
    Box.at([0.0, 0.05, 0.8], [40, 35, 10], [0.2, 0.15, 0.1]),
    Box.at([0.05, 0.0, 1.0], [35, 45, 0], [0.25, 0.25, 0.25]),
    Box.at([-0.1, 0.1, 0.9], [50, 30, 20], [0.24, 0.16, 0.06]),
    Box.at([0.1, 0.2, 2.2], [30, 40, 5], [0.9, 0.35, 0.3]),
    Box.at([0.0, 0.02, 0.35], [45, 30, -15], [0.06, 0.05, 0.04]),
    Box.at([-0.35, -0.2, 0.9], [-50, 10, 30], [0.2, 0.12, 0.1]),
)
CLEAN, DEFAULT = LiftOptions(erosion_px=0), LiftOptions()


def lift(depth: NDArray[np.float64], mask: NDArray[np.bool_], options: LiftOptions = DEFAULT) -> Object3D:
    (found,) = lift_instances(instances(mask), DepthImage(depth.astype(np.float32)), PINHOLE, options)
    return found


def assert_is(found: Object3D, box: Box) -> None:
    """Centre within 2 mm + 1 % of the distance, size within 5 %, axes within 3 degrees."""
    assert np.linalg.norm(found.centre - box.centre) < 0.002 + 0.01 * np.linalg.norm(box.centre)
    np.testing.assert_allclose(found.size, np.sort(box.size)[::-1], rtol=0.05)
    assert axes_error_deg(found.axes, box.axes) < 3


@pytest.mark.parametrize("box", BOXES)
def test_the_box_of_three_visible_faces_is_the_boxs_own(box: Box) -> None:
    depth = box.depth()
    assert_is(lift(before_wall(depth, 3.0), np.isfinite(depth)), box)


@pytest.mark.parametrize("box", BOXES)
def test_a_mask_that_bleeds_onto_a_wall_behind_changes_nothing(box: Box) -> None:
    depth = box.depth()
    wall = box.centre[2] + 1.0
    found = lift(before_wall(depth, wall), grown(np.isfinite(depth), 2))
    assert_is(found, box)
    assert found.centroid == pytest.approx(lift(depth, np.isfinite(depth)).centroid, abs=0.002 + 0.002 * wall)


def test_a_mask_that_bleeds_onto_the_table_it_stands_on_moves_the_box_little() -> None:
    """The table extends behind the object's foot without a gap in depth."""
    upright = Box(np.array([0.0, 0.0, 0.9]), Box.at([0, 0, 0], [40, 0, 0], [1, 1, 1]).axes, np.zeros(3))
    axes = upright.axes @ Box.at([0, 0, 0], [0, 30, 0], [1, 1, 1]).axes
    bottle = Box(upright.centre, axes, np.array([0.07, 0.24, 0.07]))
    depth = bottle.depth()
    mask = np.isfinite(depth)
    found = lift(np.fmin(depth, bottle.table()), grown(mask, 4))
    assert np.linalg.norm(found.centre - bottle.centre) < 0.004
    np.testing.assert_allclose(found.size, [0.24, 0.07, 0.07], atol=0.004)


@pytest.mark.parametrize("erosion_px", [0, 1, 2])
def test_flying_pixels_and_noise_change_little(erosion_px: int) -> None:
    box, rng = BOXES[0], np.random.default_rng(0)
    depth = box.depth()
    mask = np.isfinite(depth)
    scene = before_wall(depth, 1.8)
    rim = grown(mask, 1) & ~mask & (rng.random(mask.shape) < 0.5)
    scene[rim] = rng.uniform(0.7, 1.8, np.count_nonzero(rim))
    scene += rng.normal(0, 0.001, scene.shape)
    assert_is(lift(scene, grown(mask, 2), LiftOptions(erosion_px=erosion_px)), box)


def test_the_axes_are_a_rotation_sorted_by_length_that_does_not_flip() -> None:
    box, rng = BOXES[2], np.random.default_rng(1)
    depth = box.depth()
    found = [lift(depth + rng.normal(0, 0.001, depth.shape), np.isfinite(depth)) for _ in range(4)]
    for one in found:
        np.testing.assert_allclose(one.axes.T @ one.axes, np.eye(3), atol=1e-5)
        assert np.linalg.det(one.axes) == pytest.approx(1, abs=1e-5)
        assert np.all(np.diff(one.size) < 0)
        assert np.all(np.array([2.0, 3.0, 1.0]) @ one.axes[:, :2] > 0)
        np.testing.assert_allclose(one.axes, found[0].axes, atol=0.05)


def test_a_single_face_has_its_outline_and_no_thickness() -> None:
    depth = Box.at([0.0, 0.0, 0.8], [0, 0, 25], [0.3, 0.2, 0.1]).depth()
    found = lift(depth, np.isfinite(depth))
    np.testing.assert_allclose(found.size, [0.3, 0.2, 0.0], atol=0.005)
    np.testing.assert_allclose(found.centre, [0, 0, 0.75], atol=0.003)
    np.testing.assert_allclose(np.abs(found.axes[:, 2]), [0, 0, 1], atol=0.01)


def test_two_visible_faces_show_all_three_sides() -> None:
    box = Box.at([0.0, 0.0, 0.9], [0, 40, 0], [0.2, 0.12, 0.3])
    depth = box.depth()
    assert_is(lift(depth, np.isfinite(depth)), box)


def test_the_centroid_is_the_mean_of_the_points() -> None:
    mask = np.zeros(PINHOLE.image_size, np.bool_)
    mask[300:340, 500:560] = True
    found = lift(np.full(mask.shape, 2.0), mask, LiftOptions(erosion_px=3, keep_points=True))
    np.testing.assert_allclose(found.centroid, [(529.5 - 639.5) / 450, (319.5 - 359.5) / 450, 2.0], atol=1e-6)
    assert found.num_points == len(found.points) == 34 * 54
    np.testing.assert_allclose(PINHOLE.project(found.points), found.pixels, atol=1e-3)
    np.testing.assert_allclose(found.points.mean(0), found.centroid, atol=1e-5)


def test_a_hole_in_the_depth_lowers_the_ratio_and_moves_no_face() -> None:
    box = BOXES[1]
    depth = box.depth()
    mask = np.isfinite(depth)
    holes = np.random.default_rng(2).random(mask.shape) < 0.3
    found = lift(np.where(holes, 0, depth), mask)
    assert found.valid_ratio == pytest.approx(0.7, abs=0.01)
    assert_is(found, box)


def test_a_thing_as_thin_as_the_erosion_keeps_its_mask() -> None:
    mask = np.zeros(PINHOLE.image_size, np.bool_)
    mask[400:403, 300:400] = True
    found = lift(np.full(mask.shape, 1.0), mask)
    assert found.num_points == 98  # eroded by 1, not by 2
    np.testing.assert_allclose(found.size, [99 / 900, 2 / 900, 0], atol=1e-4)


def test_a_large_object_is_thinned_and_stays_in_place() -> None:
    box = BOXES[3]
    depth = box.depth()
    found = lift(depth, np.isfinite(depth), LiftOptions(max_points=2000))
    assert 1000 < found.num_points < 2000
    assert_is(found, box)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -1.0])
def test_without_valid_depth_the_object_is_kept_but_not_located(value: float) -> None:
    mask = np.zeros(PINHOLE.image_size, np.bool_)
    mask[10:40, 10:40] = True
    found = lift(np.full(mask.shape, value), mask)
    assert (found.id, found.class_id, found.num_points, found.valid_ratio) == (1, 7, 0, 0.0)
    assert np.isnan([found.centroid, found.centre]).all()
    np.testing.assert_array_equal(found.axes, np.eye(3))
    np.testing.assert_array_equal(found.size, 0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(12))
def test_depth_of_any_bits_gives_finite_places_or_none(seed: int) -> None:
    """Depth of random bytes, or invalid values next to a wall."""
    rng, size = np.random.default_rng(seed), PINHOLE.image_size
    if seed % 2:
        values = rng.choice(np.array([0, -1, np.nan, np.inf, 1e-45, 3e38, 0.8, 0.8], np.float32), size)
    else:
        values = rng.integers(0, 2**32, size, np.uint32).view(np.float32)
    mask = np.zeros(size, np.bool_)
    mask[20:90, 30:140] = True
    (found,) = lift_instances(
        instances(mask), DepthImage(values), PINHOLE, LiftOptions(erosion_px=seed % 3, keep_points=True)
    )
    assert found.num_points
    for numbers in (found.centroid, found.centre, found.axes, found.size, found.points):
        assert np.isfinite(numbers).all()


def test_too_few_points_give_no_place() -> None:
    mask = np.zeros(PINHOLE.image_size, np.bool_)
    mask[10:14, 10:14] = True
    depth = np.ones(mask.shape)
    assert lift(depth, mask, LiftOptions(min_points=17)).num_points == 0
    assert lift(depth, mask, LiftOptions(min_points=16)).num_points == 16


def test_objects_come_in_the_order_of_the_instances() -> None:
    depths = [box.depth() for box in (BOXES[0], BOXES[5])]
    masks = [np.isfinite(depths[0]), np.zeros(PINHOLE.image_size, np.bool_), np.isfinite(depths[1])]
    depth = DepthImage(np.fmin(*depths).astype(np.float32))
    found = lift_instances(instances(*masks), depth, PINHOLE, CLEAN)
    assert [(one.id, one.class_id) for one in found] == [(1, 7), (2, 8), (3, 9)]
    assert [one.score for one in found] == pytest.approx([0.9, 0.7, 0.5])
    assert_is(found[0], BOXES[0])
    assert found[1].num_points == 0
    assert_is(found[2], BOXES[5])


def test_no_instances_give_no_objects() -> None:
    depth = DepthImage(np.ones(PINHOLE.image_size, np.float32))
    assert lift_instances(Instances.empty(), depth, PINHOLE, LiftOptions()) == ()


def test_depth_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(DepthSizeError, match=r"640x480.*1280x720.*aligned"):
        lift_instances(Instances.empty(), DepthImage(np.ones((480, 640), np.float32)), PINHOLE, LiftOptions())
