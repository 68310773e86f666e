# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Convert sensor_msgs/CameraInfo to the pinhole camera of the published image."""

from collections.abc import Callable, Sequence
from typing import Literal

from sensor_msgs.msg import CameraInfo

from seg_node.errors import Refused
from seg_node.spatial.pinhole import Pinhole

WIDEST = 40.0  # image sides per focal length: a view of 174 degrees, which needs distortion
LARGEST = 1e6  # pixels, for focal lengths and optical axis: a pixel would be 0.2 arc seconds wide

NO_CAMERA = "which is not a camera matrix (focal lengths in pixels, an optical axis, 0 0 1 in the third row)"
UNCALIBRATED = "the camera is not calibrated; calibrate it, or let its driver publish the factory calibration"

Warn = Callable[[str, str], None]


class CameraInfoError(Refused, ValueError):
    """A calibration that is unusable or does not fit the image."""

    def __init__(self, reason: Literal["uncalibrated", "camera_info_size"], text: str) -> None:
        super().__init__(reason, text)


def to_pinhole(message: CameraInfo, image_size: tuple[int, int], warn: Warn | None = None) -> Pinhole:
    """Compute the camera of an image of that size, (height, width).

    Uses P, of the rectified image, unless it is all 0 or not a camera matrix; then K. Both are of the full
    sensor; region of interest and binning convert them to the image's, as in image_geometry: subtract the
    offset, then divide. A missing size (0) is assumed to be the image's. Distortion is not applied: the image
    should be rectified, or have little.

    warn: called with a reason and a text for each repair: bad_projection (P is not a camera matrix),
    camera_info_no_size.
    Raises CameraInfoError: uncalibrated (K[0] is 0, or K is not a camera matrix either), camera_info_size.
    """
    name = f"camera_info of '{message.header.frame_id}'"
    warnings = _check_size(message, image_size, name)
    if not message.k[0] > 0:
        raise CameraInfoError("uncalibrated", f"{name} has K[0] = {message.k[0]:g}: {UNCALIBRATED}")
    found = _read_matrix(message, message.p, 4, image_size)
    if found is None:
        found = _read_matrix(message, message.k, 3, image_size)
        if any(message.p):
            warnings["bad_projection"] = (
                f"{name} has P = {_format_matrix(message.p)}, {NO_CAMERA}; K is used instead"
            )
    if found is None:
        raise CameraInfoError(
            "uncalibrated", f"{name} has K = {_format_matrix(message.k)}, {NO_CAMERA}: {UNCALIBRATED}"
        )
    if "camera_info_no_size" in warnings and not _contains_axis(found):
        raise CameraInfoError(
            "camera_info_size",
            f"{name} has no size, and its optical axis at {found.cx:g}, {found.cy:g} is outside the image of "
            f"{image_size[1]}x{image_size[0]}: it belongs to another image; remap camera_info",
        )
    for reason, text in warnings.items():
        if warn is not None:
            warn(reason, text)
    return found


def announced_size(message: CameraInfo) -> tuple[int, int] | None:
    """Return the (height, width) of its images, rounded down where binned; None if it has no size."""
    height, width = (int(side) for side in _expected_size(message))
    return (height, width) if height and width else None


def _expected_size(message: CameraInfo) -> tuple[float, float]:
    """Height and width of the published image; 0 for a missing side."""
    across, down = max(message.binning_x, 1), max(message.binning_y, 1)
    return (message.roi.height or message.height) / down, (message.roi.width or message.width) / across


def _read_matrix(
    message: CameraInfo, matrix: Sequence[float], columns: int, image_size: tuple[int, int]
) -> Pinhole | None:
    """Read the camera from a matrix with that many columns; None if it is not a camera matrix."""
    fx, cx, fy, cy = (float(matrix[i]) for i in (0, 2, columns + 1, columns + 2))
    across, down = max(message.binning_x, 1), max(message.binning_y, 1)
    left, top = message.roi.x_offset, message.roi.y_offset
    found = Pinhole(fx / across, fy / down, (cx - left) / across, (cy - top) / down, image_size)
    third_row = tuple(matrix[2 * columns : 2 * columns + 3])
    return found if third_row == (0, 0, 1) and _is_plausible(found) else None


def _is_plausible(found: Pinhole) -> bool:
    """Return whether all numbers are in range; NaN is not, as comparisons with it are false."""
    height, width = found.image_size
    focal = width / WIDEST <= found.fx <= LARGEST and height / WIDEST <= found.fy <= LARGEST
    return focal and abs(found.cx) <= LARGEST and abs(found.cy) <= LARGEST


def _contains_axis(found: Pinhole) -> bool:
    height, width = found.image_size
    return 0 <= found.cx <= width and 0 <= found.cy <= height


def _format_matrix(matrix: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in matrix) + "]"


def _check_size(message: CameraInfo, image_size: tuple[int, int], name: str) -> dict[str, str]:
    """Compare its size with the image's; return a warning by its reason if the size is missing.

    A region of interest of 0 x 0 is the full sensor; drivers round a binned size up or down.
    Raises CameraInfoError when the sizes differ or the region is larger than the sensor.
    """
    roi, height, width = message.roi, message.height, message.width
    right, bottom = roi.x_offset + (roi.width or width), roi.y_offset + (roi.height or height)
    if (width and right > width) or (height and bottom > height):
        raise CameraInfoError(
            "camera_info_size",
            f"{name} has a region of interest of {roi.width}x{roi.height} at {roi.x_offset}, {roi.y_offset}, "
            f"beyond its sensor of {width}x{height}; fix the driver's roi, or set it to 0",
        )
    expected = _expected_size(message)
    if any(part and abs(whole - part) >= 1 for whole, part in zip(image_size, expected, strict=True)):
        raise CameraInfoError(
            "camera_info_size",
            f"{name} is for images of {expected[1]:g}x{expected[0]:g}, "
            f"but the image is {image_size[1]}x{image_size[0]}; remap camera_info to the one beside it",
        )
    if all(expected):
        return {}
    return {
        "camera_info_no_size": f"{name} has no size: it is assumed to be for images of "
        f"{image_size[1]}x{image_size[0]}; let the driver set width and height"
    }
