# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A thin bar on a table below a camera that looks straight down: its grasp is known in closed form."""

import numpy as np
from numpy.typing import NDArray

from seg_node.masks.crop import tight_crop
from seg_node.spatial.pinhole import Pinhole
from seg_node.types import MaskCrop

LENGTH_M, WIDTH_M, DISTANCE_M, TABLE_M = 0.12, 0.04, 0.8, 0.805
CENTRE = (0.05, -0.03, DISTANCE_M)
PINHOLE = Pinhole(540.0, 540.0, 319.5, 239.5, (480, 640))


def bar_mask(angle_deg: float, centre: tuple[float, float, float] = CENTRE) -> NDArray[np.bool_]:
    """bool (480, 640): pixels whose ray meets the bar; the angle turns its long side from x to y axis."""
    rows, columns = np.mgrid[: PINHOLE.image_size[0], : PINHOLE.image_size[1]]
    on_bar = PINHOLE.rays(columns, rows)[..., :2] * DISTANCE_M - centre[:2]
    angle = np.deg2rad(angle_deg)
    along = on_bar @ [np.cos(angle), np.sin(angle)]
    across = on_bar @ [-np.sin(angle), np.cos(angle)]
    return (np.abs(along) < LENGTH_M / 2) & (np.abs(across) < WIDTH_M / 2)


def bar_crop(angle_deg: float, centre: tuple[float, float, float] = CENTRE) -> MaskCrop:
    return tight_crop(bar_mask(angle_deg, centre))


def depth_m(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(mask, DISTANCE_M, TABLE_M).astype(np.float32)


def angle_between_deg(axis: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Of two unit vectors whose signs do not matter."""
    return float(np.rad2deg(np.arccos(min(1.0, abs(float(axis @ other))))))


def opening_axis(angle_deg: float) -> NDArray[np.float64]:
    """Across the bar."""
    return np.array([-np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg)), 0.0])
