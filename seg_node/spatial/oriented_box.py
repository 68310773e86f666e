# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Fit the orientations of boxes around visible surfaces, for many objects at once.

The cost is ln(volume) + FACE_WEIGHT * distance / side, where distance is the points' mean distance to the
nearest face that the camera sees, and side the cube root of the volume. Volume alone is not enough: if two
faces of a box are visible, a box along the diagonal has the same volume. Distance alone does not orient the
box of a flat object in its plane.

Sources: O'Rourke, Finding minimal enclosing boxes, 1985 (volume); Zhang et al., Efficient L-shape fitting for
vehicle detection using laser scanners, 2017 (closeness to visible faces). The search is deterministic: a
fixed grid of orientations, then ever smaller turns around the best ones.
"""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

FloatArray = NDArray[np.float32]

FACE_WEIGHT = 6.0  # 2 to 12 give the same boxes
MIN_SIDE_FRACTION = 0.02  # of the longest side: thinner sides are noise, and must not lower the cost
GRID_STEPS = 5  # 125 orientations, about 17 degrees apart
GRID_POINTS = 64  # enough to rank the grid, which takes half of the search's time with all points
# (points, degrees, candidates to turn): several, because the best one may lead to a worse minimum
SEARCH = ((64, 8.0, 6), (128, 4.0, 3), (128, 2.0, 1), (256, 1.0, 1), (256, 0.5, 1))


def fit_orientations(points: FloatArray) -> FloatArray:
    """Fit rotation matrices (B, 3, 3), columns the boxes' axes, to the points (B, P, 3) of B objects.

    The points' origin is the camera. Order and signs of the columns are arbitrary.
    """
    best = np.broadcast_to(_GRID, (len(points), *_GRID.shape))
    cost = _cost(_subsample(points, GRID_POINTS), best)
    for count, turns, starts in _SEARCH:
        best, cost = _best_turns(_subsample(points, count), _cheapest(best, cost, starts), turns)
    return _cheapest(best, cost, 1)[:, 0]


def _subsample(points: FloatArray, count: int) -> FloatArray:
    return points[:, :: max(1, points.shape[1] // count)]


def _best_turns(points: FloatArray, frames: FloatArray, turns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Apply to each of the frames (B, S, 3, 3) the cheapest of the turns (T, 3, 3); costs are (B, S)."""
    turned = turns @ frames[:, :, None]  # (B, S, T, 3, 3)
    cost = _cost(points, turned.reshape(len(frames), -1, 3, 3)).reshape(turned.shape[:3])
    best = cost.argmin(2)
    objects, starts = np.ogrid[: best.shape[0], : best.shape[1]]  # much faster than take_along_axis
    return turned[objects, starts, best], cost[objects, starts, best]


def _cheapest(frames: FloatArray, cost: FloatArray, count: int) -> FloatArray:
    """The `count` cheapest frames of each object: (B, F, 3, 3) → (B, count, 3, 3)."""
    return frames[np.arange(len(cost))[:, None], np.argsort(cost, axis=1)[:, :count]]


def _cost(points: FloatArray, frames: FloatArray) -> FloatArray:
    """(B, F): the module's cost of boxes along frames (B, F, 3, 3) around points (B, P, 3)."""
    objects, count = frames.shape[:2]
    # Points before frames: numpy's min and max are slow along the last axis.
    axes = frames.transpose(0, 2, 3, 1).reshape(objects, 3, 3 * count)
    along = (points @ axes).reshape(objects, -1, 3, count)
    low, high = along.min(1), along.max(1)  # (B, 3, F)
    sides = high - low
    sides = np.maximum(sides, MIN_SIDE_FRACTION * sides.max(1, keepdims=True))
    log_volume = np.log(np.maximum(sides, np.float32(1e-6))).sum(1)
    # The camera, at 0, sees the low face from below it, the high face from above it, otherwise neither.
    face = np.where(low > 0, low, np.where(high < 0, high, np.float32(1e6)))
    along -= face[:, None]
    np.abs(along, out=along)
    nearest = np.minimum(along[:, :, 0], along[:, :, 1])
    distance = np.minimum(nearest, along[:, :, 2], out=nearest).mean(1)
    # 10 bounds the cost of a box without a visible face.
    cost: FloatArray = log_volume + FACE_WEIGHT * np.minimum(distance / np.exp(log_volume / 3), 10)
    return cost


def _rotations(rodrigues: NDArray[np.float64]) -> FloatArray:
    """Convert Rodrigues vectors (N, 3), axis * tan(angle / 2), to matrices (N, 3, 3)."""
    quaternions = np.insert(rodrigues, 3, 1.0, axis=1)  # x, y, z, w; scipy normalises them
    return Rotation.from_quat(quaternions).as_matrix().astype(np.float32)


def _grid() -> FloatArray:
    """An even grid of box orientations: the fundamental zone of the cube's symmetries, cut into cells.

    Source: Frank, Orientation mapping, 1988: Rodrigues vectors within tan(pi/8) of 0 and
    |x| + |y| + |z| <= 1.
    """
    steps = ((np.arange(GRID_STEPS) + 0.5) / GRID_STEPS * 2 - 1) * np.tan(np.pi / 8)
    return _rotations(np.array([v for v in itertools.product(steps, repeat=3) if np.abs(v).sum() <= 1]))


def _turns(degrees: float) -> FloatArray:
    """The identity, and turns about the 26 directions to a cube's faces, edges and corners."""
    return _rotations(
        np.array(list(itertools.product((0, -1, 1), repeat=3))) * np.tan(np.radians(degrees) / 2)
    )


_GRID = _grid()
_SEARCH = [(count, _turns(degrees), starts) for count, degrees, starts in SEARCH]
