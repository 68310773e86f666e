# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Analytic scenes for depth: a box of known pose before a wall, seen by a pinhole camera."""

from dataclasses import dataclass
from itertools import permutations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from seg_node.masks.crop import tight_crop
from seg_node.spatial.pinhole import Pinhole
from seg_node.types import Instances

PINHOLE = Pinhole(900.0, 900.0, 639.5, 359.5, (720, 1280))


@dataclass(frozen=True)
class Box:
    """A box of size (3,) whose own axes are the columns of `axes` and whose middle is at `centre`."""

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    size: NDArray[np.float64]

    @staticmethod
    def at(centre: ArrayLike, turn_deg: ArrayLike, size: ArrayLike) -> "Box":
        axes = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
        return Box(np.array(centre, float), axes, np.array(size, float))

    def depth(self, pinhole: Pinhole = PINHOLE) -> NDArray[np.float64]:
        """Where the pixels' rays enter the box (slab method): metres (H, W), NaN beside it."""
        rows, columns = np.indices(pinhole.image_size)
        rays = pinhole.rays(columns, rows) @ self.axes
        camera = -self.centre @ self.axes
        with np.errstate(divide="ignore"):
            first, second = (-self.size / 2 - camera) / rays, (self.size / 2 - camera) / rays
        enter, leave = np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)
        return np.where(enter < leave, enter, np.nan)

    def table(self, pinhole: Pinhole = PINHOLE) -> NDArray[np.float64]:
        """The depth of the plane that the box stands on, its own y axis pointing down: metres (H, W)."""
        rows, columns = np.indices(pinhole.image_size)
        down = self.axes[:, 1]
        depth = (self.centre @ down + self.size[1] / 2) / (pinhole.rays(columns, rows) @ down)
        return np.where(depth > 0, depth, np.nan)


def before_wall(box: NDArray[np.float64], wall_m: float) -> NDArray[np.float64]:
    return np.where(np.isnan(box), wall_m, box)


def grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    return np.asarray(cv2.dilate(mask.view(np.uint8), np.ones((2 * by + 1, 2 * by + 1)))).view(np.bool_)


def instances(*masks: NDArray[np.bool_]) -> Instances:
    """Objects 1, 2, … of class 7, 8, … with the given full-size masks, cropped."""
    count = len(masks)
    return Instances(
        np.zeros((count, 4), np.float32),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.arange(7, 7 + count, dtype=np.int32),
        tuple(tight_crop(mask) for mask in masks),
        np.arange(1, count + 1, dtype=np.uint32),
    )


def axes_error_deg(found: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """Largest angle between an axis found and the true axis nearest to it, of whatever order and sign."""
    along = np.abs(found.T @ true)
    worst = max(min(along[i, j] for i, j in enumerate(order)) for order in permutations(range(3)))
    return float(np.degrees(np.arccos(min(worst, 1.0))))
