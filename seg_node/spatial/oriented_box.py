"""Orientations of boxes around the visible surfaces of objects, fitted to many objects at once.

Of all orientations the one is taken for which ln(volume) + FACE_WEIGHT * distance / side is least, where
distance is the points' mean distance to the nearest of the box's faces that look at the camera, and side the
cube root of the volume. Volume alone is not enough: where two faces of a box are seen, a box along the
diagonal has the same volume. Distance alone does not turn the box of a flat thing in its plane.

Sources: O'Rourke, Finding minimal enclosing boxes, 1985 (volume); Zhang et al., Efficient L-shape fitting for
vehicle detection using laser scanners, 2017 (closeness to visible faces). The search is a fixed grid of
orientations and ever smaller turns around the best of them: no random numbers, the same points give the same
box.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

FACE_WEIGHT = 6.0  # 2 to 12 give the same boxes
LEAST_SIDE = 0.02  # of the longest: what is thinner is noise, and thinner noise is no better box
GRID_STEPS = 5  # 125 orientations, about 17 degrees apart
GRID_POINTS = 64  # few tell which of the grid's orientations to turn: half the search's time with all
# Points, turns in degrees, and how many of the best so far are turned: the best may lead to a poorer minimum.
SEARCH = ((64, 8.0, 6), (128, 4.0, 3), (128, 2.0, 1), (256, 1.0, 1), (256, 0.5, 1))


def fit_orientations(points: FloatArray) -> FloatArray:
    """Rotation matrices (B, 3, 3), columns the axes of the boxes, for the points (B, P, 3) of B objects.

    The camera is the origin of the points. Order and signs of the columns are arbitrary.
    """
    best = np.broadcast_to(_GRID, (len(points), *_GRID.shape))
    cost = _cost(_thinned(points, GRID_POINTS), best)
    for count, turns, starts in _SEARCH:
        best, cost = _turned(_thinned(points, count), _least(best, cost, starts), turns)
    return _least(best, cost, 1)[:, 0]


def _thinned(points: FloatArray, count: int) -> FloatArray:
    return points[:, :: max(1, points.shape[1] // count)]


def _turned(points: FloatArray, frames: FloatArray, turns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each of the frames (B, S, 3, 3) after the best of the turns (T, 3, 3), and its cost (B, S)."""
    turned = turns @ frames[:, :, None]  # (B, S, T, 3, 3)
    cost = _cost(points, turned.reshape(len(frames), -1, 3, 3)).reshape(turned.shape[:3])
    best = cost.argmin(2)
    objects, starts = np.ogrid[: best.shape[0], : best.shape[1]]  # take_along_axis takes longer than the rest
    return turned[objects, starts, best], cost[objects, starts, best]


def _least(frames: FloatArray, cost: FloatArray, count: int) -> FloatArray:
    """The `count` cheapest frames of each object: (B, F, 3, 3) → (B, count, 3, 3)."""
    return frames[np.arange(len(cost))[:, None], np.argsort(cost, axis=1)[:, :count]]


def _cost(points: FloatArray, frames: FloatArray) -> FloatArray:
    """(B, F): what the module's first lines say, of boxes along frames (B, F, 3, 3), points (B, P, 3)."""
    objects, count = frames.shape[:2]
    # Points before frames: numpy is fast at least and greatest along an axis that is not the last.
    axes = frames.transpose(0, 2, 3, 1).reshape(objects, 3, 3 * count)
    along = (points @ axes).reshape(objects, -1, 3, count)
    low, high = along.min(1), along.max(1)  # (B, 3, F)
    sides = high - low
    sides = np.maximum(sides, LEAST_SIDE * sides.max(1, keepdims=True))
    log_volume = np.log(np.maximum(sides, np.float32(1e-6))).sum(1)
    # The camera, at 0, sees the low face when it is below it, the high one when above, else neither.
    face = np.where(low > 0, low, np.where(high < 0, high, np.float32(1e6)))
    along -= face[:, None]
    np.abs(along, out=along)
    nearest = np.minimum(along[:, :, 0], along[:, :, 1])
    distance = np.minimum(nearest, along[:, :, 2], out=nearest).mean(1)
    # A frame none of whose faces looks at the camera costs much, but finitely.
    cost: FloatArray = log_volume + FACE_WEIGHT * np.minimum(distance / np.exp(log_volume / 3), 10)
    return cost


def _rotations(quaternions: NDArray[np.float64]) -> FloatArray:
    """Matrices (N, 3, 3) of quaternions (N, 4), w first, of any length."""
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.array(rows, np.float32).transpose(2, 0, 1)


def _grid() -> FloatArray:
    """Orientations of a box, evenly: the fundamental zone of the cube's symmetries, cut into cells.

    Source: Frank, Orientation mapping, 1988: Rodrigues vectors within tan(pi/8) of 0 and |x| + |y| + |z| <=
    1.
    """
    steps = ((np.arange(GRID_STEPS) + 0.5) / GRID_STEPS * 2 - 1) * np.tan(np.pi / 8)
    vectors = np.array([v for v in itertools.product(steps, repeat=3) if np.abs(v).sum() <= 1])
    return _rotations(np.insert(vectors, 0, 1.0, axis=1))


def _turns(degrees: float) -> FloatArray:
    """No turn, and turns about the 26 directions of a cube's faces, edges and corners."""
    vectors = np.array(list(itertools.product((0, -1, 1), repeat=3))) * np.tan(np.radians(degrees) / 2)
    return _rotations(np.insert(vectors, 0, 1.0, axis=1))


_GRID = _grid()
_SEARCH = [(count, _turns(degrees), starts) for count, degrees, starts in SEARCH]
