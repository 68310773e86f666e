# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Grasps from examples/antipodal.py for shapes whose best grasp is known."""

import sys
from pathlib import Path

import numpy as np
import pytest
from bar_scene import CENTRE, PINHOLE, WIDTH_M, angle_between_deg, bar_crop, bar_mask, depth_m, opening_axis

from seg_node.images.depth import DepthImage
from seg_node.masks.crop import tight_crop
from seg_node.types import MaskCrop

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import antipodal
from antipodal import find_contacts, plan_grasp

ROWS, COLUMNS = np.mgrid[:120, :160]


@pytest.mark.parametrize("angle_deg", [0, 7.4, 30, 48.1, 74, 96.2, 140.6])
def test_a_bar_is_grasped_across_its_middle(angle_deg):
    depth = DepthImage(depth_m(bar_mask(angle_deg)))
    grasp = plan_grasp(bar_crop(angle_deg), depth, PINHOLE)
    assert np.linalg.norm(grasp.position - CENTRE) < 0.002
    assert angle_between_deg(grasp.rotation.as_matrix()[:, 1], opening_axis(angle_deg)) < 3
    assert grasp.width_m == pytest.approx(WIDTH_M, rel=0.05)
    assert grasp.rotation.as_matrix()[:, 2] == pytest.approx([0, 0, 1])  # a flat bar: along the optical axis


def test_depth_that_bleeds_over_the_edge_does_not_tilt_the_grasp():
    mask = bar_mask(0)
    bled = depth_m(mask)
    rows = np.flatnonzero(mask.any(axis=1))
    bled[rows[:2]] = 1.5  # the two topmost rows of the mask see the background
    bled[rows[10], 300:] = np.nan
    grasp = plan_grasp(bar_crop(0), DepthImage(bled), PINHOLE)
    assert np.linalg.norm(grasp.position - CENTRE) < 0.002
    assert grasp.rotation.as_matrix()[:, 2] == pytest.approx([0, 0, 1])


def test_a_tilted_surface_tilts_the_gripper_and_the_width_is_measured_along_it():
    # 30 degrees about the x axis: depth falls with the row, and the bar's narrow side is foreshortened.
    rows, columns = np.mgrid[:480, :640]
    normal = np.array([0, np.sin(np.deg2rad(30)), np.cos(np.deg2rad(30))])
    rays = PINHOLE.rays(columns, rows)
    depth = 0.8 * normal[2] / (rays @ normal)
    points = rays * depth[..., None] - [0, 0, 0.8]
    mask = (np.abs(points[..., 0]) < 0.06) & (np.abs(points @ np.cross(normal, [1, 0, 0])) < WIDTH_M / 2)
    grasp = plan_grasp(tight_crop(mask), DepthImage(depth.astype(np.float32)), PINHOLE)
    assert angle_between_deg(grasp.rotation.as_matrix()[:, 1], np.cross(normal, [1, 0, 0])) < 10
    assert grasp.width_m == pytest.approx(WIDTH_M, rel=0.1)
    assert np.linalg.norm(grasp.position - [0, 0, 0.8]) < 0.002


def test_a_ring_is_grasped_at_its_wall():
    radius = np.hypot(ROWS - 60, COLUMNS - 80)
    contacts = find_contacts((radius > 25) & (radius < 45))
    assert np.linalg.norm(contacts[0] - contacts[1]) == pytest.approx(20, abs=1.5)
    assert sorted(np.hypot(*(contacts - (80, 60)).T)) == pytest.approx([25, 45], abs=1)


def test_an_l_is_grasped_across_one_arm():
    mask = np.zeros((120, 160), bool)
    mask[10:110, 20:40] = mask[90:110, 20:150] = True  # arms 20 pixels wide; the centroid is outside both
    contacts = find_contacts(mask)
    assert np.linalg.norm(contacts[0] - contacts[1]) == pytest.approx(20, abs=1.5)
    inner = contacts.mean(axis=0).round().astype(int)
    assert mask[inner[1], inner[0]]


def test_edges_that_would_slip_are_refused(monkeypatch):
    wedge = (ROWS > 10) & (ROWS < 110) & (np.abs(COLUMNS - 80) < 20 + (ROWS - 10) * 0.2)
    contacts = find_contacts(wedge)  # each side leans by 11 degrees
    assert abs(contacts[0, 1] - contacts[1, 1]) < abs(contacts[0, 0] - contacts[1, 0])
    monkeypatch.setattr(antipodal, "FRICTION_ANGLE", np.deg2rad(2))
    contacts = find_contacts(wedge)  # base and top
    assert sorted(contacts[:, 1]) == pytest.approx([10.5, 109.5], abs=1)
    monkeypatch.setattr(antipodal, "FRICTION_ANGLE", 0.0)
    with pytest.raises(ValueError, match="no two opposed edges"):
        find_contacts(wedge)


@pytest.mark.parametrize(
    ("crop", "invalid", "complaint"),
    [
        (MaskCrop.empty(), False, "no pixel"),
        (bar_crop(0), True, "no depth in its mask"),
        (bar_crop(0, (0.05, -0.36, 0.8)), False, "image's border cuts it off"),
    ],
)
def test_an_object_without_a_grasp_is_reported(crop, invalid, complaint):
    depth = np.full((480, 640), np.nan if invalid else 0.8, np.float32)
    with pytest.raises(ValueError, match=complaint):
        plan_grasp(crop, DepthImage(depth), PINHOLE)
