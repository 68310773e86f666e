# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Antipodal grasp from one mask and the depth inside it, without ROS; grasp_planner.py is the node."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from seg_node.images.depth import DepthImage
from seg_node.spatial.pinhole import Pinhole
from seg_node.types import MaskCrop

FRICTION_ANGLE = np.deg2rad(20)  # between closing direction and an edge's normal; friction coefficient 0.36


@dataclass(frozen=True)
class Grasp:
    """The pose of a parallel gripper that closes on an object.

    position: (3,), metres, optical frame, between the contacts. rotation: gripper to optical frame; y is the
    axis along which it closes, z its approach. width_m: distance between the contacts.
    """

    position: NDArray[np.float64]
    rotation: Rotation
    width_m: float


def plan_grasp(mask: MaskCrop, depth: DepthImage, pinhole: Pinhole) -> Grasp:
    """Find the narrowest grasp through the middle of the mask, approached along the optical axis.

    depth: aligned to the mask's image and of its size.

    Raises ValueError when mask or depth do not allow a grasp.
    """
    if not mask.area:
        raise ValueError("its mask has no pixel")
    contacts = find_contacts(mask.pixels)
    corner = np.array([mask.x_offset, mask.y_offset])
    if (contacts + corner < 0).any() or (contacts + corner > np.array(depth.image_size[::-1]) - 1).any():
        raise ValueError("the image's border cuts it off where the gripper would close")
    depth_m = np.where(mask.pixels, depth.crop(mask.roi), np.nan)
    # Depth bleeds at the edge itself, so a contact gets the depth of the adjacent quarter of the width.
    depths_m = [_median_depth(depth_m, contacts, *part) for part in ((0.0, 0.25), (0.75, 1.0))]
    first, second = pinhole.rays(*(contacts + corner).T) * np.array(depths_m)[:, None]
    width_m = float(np.linalg.norm(second - first))
    y = (second - first) / width_m
    x = np.cross(y, [0, 0, 1])
    x /= np.linalg.norm(x)
    rotation = Rotation.from_matrix(np.stack([x, y, np.cross(x, y)], axis=1))
    return Grasp((first + second) / 2, rotation, width_m)


def find_contacts(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Find two points on opposite edges of a mask (H, W): (2, 2), column and row, fractions of pixels.

    The line between them passes through the mask's middle: among the pixels at least 80 % as far from the
    edge as the farthest, the one nearest to the centroid. Candidates meet both edges within the friction cone
    and are at most 5 % longer than the shortest; the one that meets the edges most squarely wins. Length
    alone hardly determines the direction: on a bar, 1 % of it is 8 degrees.

    Raises ValueError when there are none.
    """
    border = 5
    filled = np.pad(mask, border).astype(np.float32)
    distance = cv2.distanceTransform(filled.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    deep = np.argwhere(distance >= 0.8 * distance.max())
    middle = deep[np.linalg.norm(deep - np.argwhere(filled).mean(axis=0), axis=1).argmin(), ::-1]

    angles = np.deg2rad(np.arange(360))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    reach = np.arange(0, np.hypot(*filled.shape), 0.25)[:, None]
    inside = _sample(filled, middle + reach * directions[:, None]) > 0.5  # (360, len(reach))
    radii = reach[inside.argmin(axis=1)]
    edges = middle + radii * directions
    # Normals come from the mask blurred by a sixth of its width, because its own edge consists of steps.
    blurred = cv2.GaussianBlur(filled, (0, 0), distance.max() / 3)
    gradient = [_sample(cv2.Sobel(blurred, cv2.CV_32F, *axis), edges) for axis in ((1, 0), (0, 1))]
    normals = -np.stack(gradient, axis=1) / np.maximum(np.linalg.norm(gradient, axis=0), 1e-6)[:, None]
    squareness = (normals * directions).sum(axis=1)

    lengths = (radii[:180] + radii[180:]).ravel()
    squareness = np.minimum(squareness[:180], squareness[180:])
    usable = (squareness > np.cos(FRICTION_ANGLE)) & (lengths > 0)
    if not usable.any():
        raise ValueError("its mask has no two opposed edges with the middle between them")
    usable &= lengths <= 1.05 * lengths[usable].min()
    best = np.where(usable, squareness, -1).argmax()
    return edges[[best, best + 180]] - border


def _sample(image: NDArray[np.float32], points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate an image at points (N, 2) or (N, M, 2), column and row: (N,) or (N, M)."""
    x, y = np.moveaxis(points.astype(np.float32), -1, 0)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR).reshape(x.shape)


def _median_depth(
    depth_m: NDArray[np.float32], contacts: NDArray[np.float64], begin: float, end: float
) -> float:
    """Median of a band 5 pixels wide, between two fractions of the line from contact to contact."""
    along = contacts[1] - contacts[0]
    across = along[::-1] * [1, -1] / np.linalg.norm(along)
    way = contacts[0] + np.linspace(begin, end, 50)[:, None] * along
    band = np.rint(way[:, None] + np.arange(-2, 3)[:, None] * across).astype(int).reshape(-1, 2)
    columns, rows = np.clip(band, 0, np.array(depth_m.shape[::-1]) - 1).T
    depths = depth_m[rows, columns]
    if np.isnan(depths).all():
        raise ValueError("there is no depth in its mask where the gripper would close")
    return float(np.nanmedian(depths))
