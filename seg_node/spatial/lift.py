# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Lift instances to 3D: masks and an aligned depth image give centroids, oriented boxes and points. No ROS.

All points are in the camera's optical frame: x right, y down, z forward, metres.

The box encloses the visible surface, not the whole object. If two or three faces of a box-shaped object are
visible, it is the object's own box, because they show its three lengths. For a single face it has the
outline and a thickness near 0 (the noise of the depth). It lacks the far half of round objects seen from the
side, and whatever other objects hide.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seg_node.errors import Refused
from seg_node.images.depth import DepthImage
from seg_node.spatial.oriented_box import fit_orientations
from seg_node.spatial.pinhole import Pinhole
from seg_node.spatial.visible_surface import Surface, visible_surface
from seg_node.types import Instances

FIT_POINTS = 256
SIZE_POINTS = 2048
OUTLIER_FRACTION = 0.005  # of the points may lie outside of each face: the tail of the noise
# Axes point to this side. It is not normal to any direction that edges of upright objects often have.
SIGN_REFERENCE = np.array([2.0, 3.0, 1.0])


class DepthSizeError(Refused, ValueError):
    """A depth image of another size than the colour image."""

    def __init__(self, text: str) -> None:
        super().__init__("depth_size", text)


@dataclass(frozen=True)
class LiftOptions:
    """Options for sampling depth inside a mask.

    erosion_px: width of the mask's rim that centroid and points skip, because depth of the background bleeds
    into it; less if fewer than min_points would remain. The box needs the rim: there it uses the pixels on
    the object's surface and drops those behind it within twice this width of the mask's edge.
    min_points: an object with fewer valid depth pixels is not located.
    max_points: larger objects are subsampled evenly to about this number of pixels.
    keep_points: whether Object3D.points and pixels are filled.
    """

    erosion_px: int = 2
    min_points: int = 20
    max_points: int = 10_000
    keep_points: bool = False


@dataclass(frozen=True)
class Object3D:
    """One instance in 3D.

    centroid: mean of the visible surface's points. centre: of the oriented box. Both (3,) float64.
    axes: (3, 3) rotation matrix; its columns are the box's x, y and z axes, x along the longest side, z along
    the shortest. x and y point right, down and away (towards SIGN_REFERENCE), z completes a right-handed
    frame. The box does not flip between frames, but sides of similar length may swap.
    size: (3,) lengths along the axes, metres.
    num_points: depth pixels used; 0 if the object is not located: centroid and centre are then NaN, axes the
    identity and size 0. valid_ratio: fraction of the mask's pixels with valid depth, 0 to 1.
    points: float32 (N, 3), and pixels: int32 (N, 2), column and row, of the eroded mask; empty unless
    LiftOptions.keep_points.
    """

    id: int
    class_id: int
    score: float
    centroid: NDArray[np.float64]
    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    size: NDArray[np.float64]
    num_points: int
    valid_ratio: float
    points: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    pixels: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))


def lift_instances(
    instances: Instances, depth: DepthImage, pinhole: Pinhole, options: LiftOptions
) -> tuple[Object3D, ...]:
    """Locate each instance, in order; objects without enough depth have num_points 0.

    depth: aligned to the image of the masks and of the same size. pinhole: of both.
    Raises DepthSizeError if the sizes differ.
    """
    if depth.image_size != pinhole.image_size:
        (rows, columns), (height, width) = depth.image_size, pinhole.image_size
        raise DepthSizeError(
            f"depth image is {columns}x{rows}, but the colour image is {width}x{height}: "
            "use depth that is registered (aligned) to the colour camera"
        )
    limits = options.erosion_px, options.min_points, options.max_points
    surfaces = [visible_surface(mask, depth, pinhole, *limits) for mask in instances.masks]
    found = [index for index, surface in enumerate(surfaces) if surface.inner.any()]
    objects = [_not_located(instances, index, surface.valid_ratio) for index, surface in enumerate(surfaces)]
    if found:
        frames = fit_orientations(
            np.stack([_resample(surfaces[index].points, FIT_POINTS) for index in found])
        )
        for index, frame in zip(found, frames, strict=True):
            objects[index] = _located(instances, index, surfaces[index], frame, options.keep_points)
    return tuple(objects)


def _resample(points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Sample exactly `count` points evenly, with repetition if there are fewer."""
    return points[np.arange(count) * len(points) // count]


def _located(
    instances: Instances, index: int, surface: Surface, frame: NDArray[np.float32], keep_points: bool
) -> Object3D:
    points = surface.points
    along = frame.T @ points[:: max(1, len(points) // SIZE_POINTS)].T  # (3, N)
    first = int(OUTLIER_FRACTION * along.shape[1])
    last = along.shape[1] - 1 - first
    low, high = np.partition(along, (first, last), axis=1)[:, [first, last]].T.astype(np.float64)
    axes, low, high = _sort_axes(frame.astype(np.float64), low, high)
    num_points = int(np.count_nonzero(surface.inner))
    kept = surface.inner if keep_points else slice(0)
    return Object3D(
        int(instances.ids[index]),
        int(instances.class_ids[index]),
        float(instances.scores[index]),
        centroid=(surface.inner.astype(np.float32) @ points / num_points).astype(np.float64),
        centre=axes @ (low + high) / 2,
        axes=axes,
        size=high - low,
        num_points=num_points,
        valid_ratio=surface.valid_ratio,
        points=points[kept],
        pixels=surface.pixels[kept],
    )


def _sort_axes(
    frame: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sort the axes and the faces' places along them, and set signs, as Object3D documents."""
    order = np.argsort(low - high, kind="stable")
    axes, low, high = frame[:, order], low[order], high[order]
    signs = np.where(SIGN_REFERENCE @ axes < 0, -1.0, 1.0)
    signs[2] = signs[0] * signs[1] * np.sign(np.linalg.det(axes))  # a rotation, not a reflection
    return axes * signs, np.where(signs < 0, -high, low), np.where(signs < 0, -low, high)


def _not_located(instances: Instances, index: int, valid_ratio: float) -> Object3D:
    nowhere = np.full(3, np.nan)
    return Object3D(
        int(instances.ids[index]),
        int(instances.class_ids[index]),
        float(instances.scores[index]),
        centroid=nowhere,
        centre=nowhere,
        axes=np.eye(3),
        size=np.zeros(3),
        num_points=0,
        valid_ratio=valid_ratio,
    )
