# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The visible surface of an object: the depth in its mask, with background and occluders removed. No ROS."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.images.depth import DepthImage
from seg_node.spatial.pinhole import Pinhole
from seg_node.types import MaskCrop

# Neighbours on one surface differ by at most the noise (1 % of the depth) plus a slope of 75 degrees.
NOISE, MAX_SLOPE = 0.01, float(np.tan(np.radians(75)))


@dataclass(frozen=True)
class Surface:
    """An object's visible surface.

    points: (N, 3) metres. pixels: (N, 2), column and row. inner: bool (N,), whether in the eroded mask.
    valid_ratio: fraction of the mask's pixels with valid depth, 0 to 1.
    """

    points: NDArray[np.float32]
    pixels: NDArray[np.int32]
    inner: NDArray[np.bool_]
    valid_ratio: float


def visible_surface(
    mask: MaskCrop, depth: DepthImage, pinhole: Pinhole, erosion_px: int, min_points: int, max_points: int
) -> Surface:
    """Convert the object's own depth pixels to points; none if there are fewer than min_points.

    erosion_px, min_points, max_points: see `seg_node.spatial.lift.LiftOptions`.
    """
    stride = max(1, math.ceil(math.sqrt(mask.area / max_points)))
    metres = depth.crop(mask.roi, stride)
    pixels = mask.pixels[::stride, ::stride]
    valid = pixels & (metres > 0)  # False for NaN
    valid_ratio = int(np.count_nonzero(valid)) / max(int(np.count_nonzero(pixels)), 1)
    if not valid_ratio:
        none = np.zeros((0, 3), np.float32)
        return Surface(none, none[:, :2].astype(np.int32), none[:, 0] > 0, 0.0)
    step = stride * MAX_SLOPE / min(pinhole.fx, pinhole.fy)
    tolerance = NOISE + 2 * step  # between the two ends of a 3 x 3 neighbourhood
    bleed_px = 2 * erosion_px
    own = _without_edges(valid, metres, tolerance, min_points)
    rim = pixels & ~_eroded(mask.pixels, bleed_px)[::stride, ::stride]
    own &= ~_bleed(valid, metres, rim, math.ceil(bleed_px / stride), step)
    own = _with_rim(_largest_part(own, metres, mask, pinhole), valid, metres, tolerance)
    inner = own
    for by in range(erosion_px, -1, -1):
        inner = own & _eroded(mask.pixels, by)[::stride, ::stride]
        if np.count_nonzero(inner) >= min_points:
            break
    else:
        own = inner = np.zeros_like(own)
    at = np.flatnonzero(own)  # several times as fast as np.nonzero in two dimensions
    rows, columns = np.divmod(at.astype(np.int32), own.shape[1])
    z = metres.reshape(-1)[at]
    pixels_at = np.empty((len(z), 2), np.int32)
    pixels_at[:, 0] = columns * stride + mask.x_offset
    pixels_at[:, 1] = rows * stride + mask.y_offset
    points = np.empty((len(z), 3), np.float32)
    points[:, 0] = (pixels_at[:, 0] - pinhole.cx) / pinhole.fx * z
    points[:, 1] = (pixels_at[:, 1] - pinhole.cy) / pinhole.fy * z
    points[:, 2] = z
    return Surface(points, pixels_at, inner.reshape(-1)[at], valid_ratio)


def _eroded(pixels: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    if by == 0:
        return pixels
    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    inner = cv2.erode(pixels.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inner).view(np.bool_)


def _without_edges(
    valid: NDArray[np.bool_], metres: NDArray[np.float32], tolerance: float, min_points: int
) -> NDArray[np.bool_]:
    """Drop flying pixels: those whose neighbours in the mask are not on one surface with them.

    Keep all if fewer than min_points would remain, as for thin or very noisy objects.
    """
    nearest, farthest = _neighbours(valid, metres)
    smooth = valid & (farthest - nearest < tolerance * nearest)
    return smooth if np.count_nonzero(smooth) >= min_points else valid


def _bleed(
    valid: NDArray[np.bool_], metres: NDArray[np.float32], rim: NDArray[np.bool_], reach: int, step: float
) -> NDArray[np.bool_]:
    """Find background pixels in the rim of a mask that is too wide.

    They lie further behind a pixel of the mask within `reach` than a slope explains. A gap along the ray does
    not separate them: the table behind an object begins at its foot. step: relative change of depth from
    pixel to pixel on the steepest surface.
    """
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    nearest = np.asarray(cv2.erode(np.where(valid, metres, np.float32(1e6)), kernel))
    return rim & (metres > nearest * (1 + NOISE + reach * step))


def _with_rim(
    own: NDArray[np.bool_], valid: NDArray[np.bool_], metres: NDArray[np.float32], tolerance: float
) -> NDArray[np.bool_]:
    """Add to `own` the valid pixels next to it that continue its surface."""
    nearest, farthest = _neighbours(own, metres)
    slack = tolerance / 2 * metres
    return own | (valid & (metres > nearest - slack) & (metres < farthest + slack))


def _neighbours(
    of: NDArray[np.bool_], metres: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Minimum and maximum depth of these pixels in each 3 x 3 neighbourhood; 1e6 and 0 without any."""
    kernel = np.ones((3, 3), np.uint8)
    nearest = cv2.erode(np.where(of, metres, np.float32(1e6)), kernel)
    farthest = cv2.dilate(np.where(of, metres, np.float32(0)), kernel)
    return np.asarray(nearest, np.float32), np.asarray(farthest, np.float32)


def _largest_part(
    valid: NDArray[np.bool_], metres: NDArray[np.float32], mask: MaskCrop, pinhole: Pinhole
) -> NDArray[np.bool_]:
    """Select the largest group in depth; groups are separated by half the width of the object.

    The gap between a cup's rim and the part of its inside that the rim hides is smaller.
    """
    z = metres[valid]
    if not len(z):
        return valid
    height, width = mask.pixels.shape
    half = 0.5 * max(width / pinhole.fx, height / pinhole.fy)
    nearest, farthest = float(z.min()), float(z.max())
    if farthest - nearest < nearest * half:  # less than any gap: skips the sort, the slowest step
        return valid
    z.sort()
    gap = half * float(np.median(z[(len(z) - 1) // 2 : len(z) // 2 + 1]))
    if farthest - nearest < gap:
        return valid
    ends = np.flatnonzero(z[1:] - z[:-1] > gap)
    starts, ends = np.append(0, ends + 1), np.append(ends, len(z) - 1)
    largest = np.argmax(ends - starts)
    return valid & (metres >= z[starts[largest]]) & (metres <= z[ends[largest]])
