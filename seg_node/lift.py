"""Instances into space: masks and an aligned depth image give centroids, oriented boxes and points. No ROS.

All points are in the camera's optical frame: x right, y down, z forward, metres.

A camera sees the front of things, so the box encloses the visible surface, not the thing. Where three or two
faces of a box-shaped thing are seen it is the thing's own box: they show its three lengths. Of a single face
the box has the outline, and a thickness near 0 (the noise of the depth). Of round things seen from the side
the far half is missing. What other things hide is missing as well.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.depth_image import DepthImage
from seg_node.oriented_box import fit_orientations
from seg_node.pinhole import Pinhole
from seg_node.types import Instances, MaskCrop

FIT_POINTS = 256
SIZE_POINTS = 2048
OUTSIDE = 0.005  # of the points lie outside of each face: the noise's tail
# Neighbours on one surface differ by less than noise (1 % of the depth) and a slope of 75 degrees make.
NOISE, STEEPEST = 0.01, float(np.tan(np.radians(75)))
# The axes' signs: not across any direction that edges of upright things, seen from above, often have.
TOWARDS = np.array([2.0, 3.0, 1.0])


@dataclass(frozen=True)
class LiftOptions:
    """How depth is read off a mask.

    erosion_px: taken off the mask's rim for centroid and points, where depth of others bleeds in; fewer where
    less than min_points would be left. The box needs the rim: it takes what is on the object's surface, and
    leaves out what lies behind it within twice so many pixels of the mask's edge.
    min_points: with fewer valid depth pixels the object is not located.
    max_points: a larger object is thinned to about so many pixels, evenly.
    keep_points: whether Object3D.points and pixels are filled.
    """

    erosion_px: int = 2
    min_points: int = 20
    max_points: int = 10_000
    keep_points: bool = False


@dataclass(frozen=True)
class Object3D:
    """One instance in space.

    centroid: mean of the visible surface's points. centre: of the oriented box. All (3,) float64.
    axes: (3, 3) rotation matrix; its columns are the box's x, y and z axis, x along the longest side, z along
    the shortest; x and y point right, down and away rather than left, up and near (along TOWARDS), z follows.
    So a box does not flip from frame to frame, but sides of about one length may change places.
    size: (3,) lengths along the axes, metres.
    num_points: depth pixels used; 0 when the object is not located: then centroid and centre are NaN, axes
    the identity and size 0. valid_ratio: valid depth pixels of all pixels of the mask, 0 to 1.
    points: float32 (N, 3) and pixels: int32 (N, 2), column and row, of the eroded mask, if they were asked
    for.
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


@dataclass(frozen=True)
class _Surface:
    """What is seen of an object. points: (N, 3); pixels: (N, 2); inner: bool (N,), in the eroded mask."""

    points: NDArray[np.float32]
    pixels: NDArray[np.int32]
    inner: NDArray[np.bool_]
    valid_ratio: float


def lift_instances(
    instances: Instances, depth: DepthImage, pinhole: Pinhole, options: LiftOptions
) -> tuple[Object3D, ...]:
    """One Object3D for each instance, in their order; those without enough depth have num_points 0.

    depth: aligned to the image of the masks, of the same size. pinhole: of both.
    Raises ValueError when the sizes differ.
    """
    if depth.image_size != pinhole.image_size:
        (rows, columns), (height, width) = depth.image_size, pinhole.image_size
        raise ValueError(
            f"depth image is {columns}x{rows}, but the colour image is {width}x{height}: "
            "use depth that is registered (aligned) to the colour camera"
        )
    surfaces = [_surface(mask, depth, pinhole, options) for mask in instances.masks]
    found = [index for index, surface in enumerate(surfaces) if surface.inner.any()]
    objects = [_not_located(instances, index, surface.valid_ratio) for index, surface in enumerate(surfaces)]
    if found:
        frames = fit_orientations(np.stack([_thinned(surfaces[index].points, FIT_POINTS) for index in found]))
        for index, frame in zip(found, frames, strict=True):
            objects[index] = _located(instances, index, surfaces[index], frame, options.keep_points)
    return tuple(objects)


def _surface(mask: MaskCrop, depth: DepthImage, pinhole: Pinhole, options: LiftOptions) -> _Surface:
    """The object's own depth pixels as points; none when they are fewer than min_points."""
    stride = max(1, math.ceil(math.sqrt(mask.area / options.max_points)))
    metres = depth.crop(mask.roi, stride)
    pixels = mask.pixels[::stride, ::stride]
    valid = pixels & (metres > 0)  # NaN is not
    valid_ratio = int(np.count_nonzero(valid)) / max(int(np.count_nonzero(pixels)), 1)
    if not valid_ratio:
        none = np.zeros((0, 3), np.float32)
        return _Surface(none, none[:, :2].astype(np.int32), none[:, 0] > 0, 0.0)
    step = stride * STEEPEST / min(pinhole.fx, pinhole.fy)
    tolerance = NOISE + 2 * step  # between the two ends of a 3 x 3 neighbourhood
    bleed_px = 2 * options.erosion_px
    own = _without_edges(valid, metres, tolerance, options.min_points)
    rim = pixels & ~_eroded(mask.pixels, bleed_px)[::stride, ::stride]
    own &= ~_bleed(valid, metres, rim, math.ceil(bleed_px / stride), step)
    own = _with_rim(_largest_part(own, metres, mask, pinhole), valid, metres, tolerance)
    inner = own
    for erosion_px in range(options.erosion_px, -1, -1):
        inner = own & _eroded(mask.pixels, erosion_px)[::stride, ::stride]
        if np.count_nonzero(inner) >= options.min_points:
            break
    else:
        own = inner = np.zeros_like(own)
    rows, columns = np.nonzero(own)
    z = metres[rows, columns]
    at = np.stack([columns * stride + mask.x_offset, rows * stride + mask.y_offset], axis=1).astype(np.int32)
    points = np.empty((len(z), 3), np.float32)
    points[:, 0] = (at[:, 0] - pinhole.cx) / pinhole.fx * z
    points[:, 1] = (at[:, 1] - pinhole.cy) / pinhole.fy * z
    points[:, 2] = z
    return _Surface(points, at, inner[rows, columns], valid_ratio)


def _eroded(pixels: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    if by == 0:
        return pixels
    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    inner = cv2.erode(pixels.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inner).view(np.bool_)


def _without_edges(
    valid: NDArray[np.bool_], metres: NDArray[np.float32], tolerance: float, min_points: int
) -> NDArray[np.bool_]:
    """The pixels whose neighbours in the mask are on one surface with them: flying pixels are not.

    All of them where too few would be left: a thin or very noisy thing.
    """
    nearest, farthest = _neighbours(valid, metres)
    smooth = valid & (farthest - nearest < tolerance * nearest)
    return smooth if np.count_nonzero(smooth) >= min_points else valid


def _bleed(
    valid: NDArray[np.bool_], metres: NDArray[np.float32], rim: NDArray[np.bool_], reach: int, step: float
) -> NDArray[np.bool_]:
    """The rim's pixels that are behind a pixel of the mask within `reach` by more than a slope makes.

    They are of what stands behind, where the mask is too wide. The table behind an object begins at its foot,
    so that no gap along the ray divides the two. step: of the steepest surface from pixel to pixel, as a part
    of its depth.
    """
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    nearest = np.asarray(cv2.erode(np.where(valid, metres, np.float32(1e6)), kernel))
    return rim & (metres > nearest * (1 + NOISE + reach * step))


def _with_rim(
    own: NDArray[np.bool_], valid: NDArray[np.bool_], metres: NDArray[np.float32], tolerance: float
) -> NDArray[np.bool_]:
    """`own` and those of the valid pixels around it that go on with its surface."""
    nearest, farthest = _neighbours(own, metres)
    slack = tolerance / 2 * metres
    return own | (valid & (metres > nearest - slack) & (metres < farthest + slack))


def _neighbours(
    of: NDArray[np.bool_], metres: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least and greatest depth of those pixels in each 3 x 3 neighbourhood; huge and 0 without any."""
    kernel = np.ones((3, 3), np.uint8)
    nearest = cv2.erode(np.where(of, metres, np.float32(1e6)), kernel)
    farthest = cv2.dilate(np.where(of, metres, np.float32(0)), kernel)
    return np.asarray(nearest, np.float32), np.asarray(farthest, np.float32)


def _largest_part(
    valid: NDArray[np.bool_], metres: NDArray[np.float32], mask: MaskCrop, pinhole: Pinhole
) -> NDArray[np.bool_]:
    """The pixels of the largest group along the ray: groups are as far apart as half the object is wide.

    A cup's own rim hides a part of its inside, and a gap of that kind is smaller.
    """
    z = metres[valid]
    if not len(z):
        return valid
    height, width = mask.pixels.shape
    gap = 0.5 * float(np.median(z)) * max(width / pinhole.fx, height / pinhole.fy)
    if float(z.max()) - float(z.min()) < gap:
        return valid
    z = np.sort(z)
    ends = np.flatnonzero(np.diff(z) > gap)
    starts, ends = np.append(0, ends + 1), np.append(ends, len(z) - 1)
    largest = np.argmax(ends - starts)
    return valid & (metres >= z[starts[largest]]) & (metres <= z[ends[largest]])


def _thinned(points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Exactly so many of the points, evenly; each several times where there are fewer."""
    return points[np.arange(count) * len(points) // count]


def _located(
    instances: Instances, index: int, surface: _Surface, frame: NDArray[np.float32], keep_points: bool
) -> Object3D:
    points = surface.points
    along = frame.T @ points[:: max(1, len(points) // SIZE_POINTS)].T  # (3, N)
    first = int(OUTSIDE * along.shape[1])
    last = along.shape[1] - 1 - first
    low, high = np.partition(along, (first, last), axis=1)[:, [first, last]].T.astype(np.float64)
    axes, low, high = _ordered(frame.astype(np.float64), low, high)
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


def _ordered(
    frame: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Axes and the faces' places along them, in the order and with the signs that Object3D tells."""
    order = np.argsort(low - high, kind="stable")
    axes, low, high = frame[:, order], low[order], high[order]
    signs = np.where(TOWARDS @ axes < 0, -1.0, 1.0)
    signs[2] = np.sign(np.dot(np.cross(axes[:, 0] * signs[0], axes[:, 1] * signs[1]), axes[:, 2]))
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
