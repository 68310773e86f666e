# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo to a pinhole camera of the image as it is published."""

from collections.abc import Callable, Sequence
from typing import Literal

from sensor_msgs.msg import CameraInfo

from seg_node.errors import Refused
from seg_node.spatial.pinhole import Pinhole

WIDEST = 40.0  # image sides a focal length: 174 degrees, which no picture without distortion shows
LARGEST = 1e6  # pixels, of focal lengths and optical axis: a pixel is 0.2 arc seconds wide

NO_CAMERA = "which is no camera's (focal lengths in pixels, an optical axis, 0 0 1 in the third row)"
UNCALIBRATED = "the camera is not calibrated; calibrate it, or let its driver publish the factory's values"

Warn = Callable[[str, str], None]


class CameraInfoError(Refused, ValueError):
    """A calibration that does not fit."""

    def __init__(self, reason: Literal["uncalibrated", "camera_info_size"], text: str) -> None:
        super().__init__(reason, text)


def to_pinhole(message: CameraInfo, image_size: tuple[int, int], warn: Warn | None = None) -> Pinhole:
    """The camera of an image of that size, (height, width).

    P, of the rectified image, unless it is all 0 or no camera's; then K. Both are of the sensor's full
    resolution; region of interest and binning turn them into the image's, as in image_geometry: offset away,
    then divided. A size that is left out (0) is taken to be the image's. Distortion is not applied: the image
    should be a rectified one, or have little.

    warn: called with a reason and a text for what is mended here: bad_projection (P is no camera's),
    camera_info_no_size.
    Raises CameraInfoError: uncalibrated (K[0] is 0, or K is no camera's either), camera_info_size.
    """
    name = f"camera_info of '{message.header.frame_id}'"
    doubts = _check_size(message, image_size, name)
    if not message.k[0] > 0:
        raise CameraInfoError("uncalibrated", f"{name} has K[0] = {message.k[0]:g}: {UNCALIBRATED}")
    found = _read(message, message.p, 4, image_size)
    if found is None:
        found = _read(message, message.k, 3, image_size)
        if any(message.p):
            doubts["bad_projection"] = f"{name} has P = {_matrix(message.p)}, {NO_CAMERA}; K is used instead"
    if found is None:
        raise CameraInfoError(
            "uncalibrated", f"{name} has K = {_matrix(message.k)}, {NO_CAMERA}: {UNCALIBRATED}"
        )
    if "camera_info_no_size" in doubts and not _shows_its_axis(found):
        raise CameraInfoError(
            "camera_info_size",
            f"{name} leaves the size out and has its optical axis at {found.cx:g}, {found.cy:g}, outside the "
            f"image of {image_size[1]}x{image_size[0]}: it is another image's; remap camera_info",
        )
    for reason, text in doubts.items():
        if warn is not None:
            warn(reason, text)
    return found


def announced_size(message: CameraInfo) -> tuple[int, int] | None:
    """(height, width) of the images it is for, rounded down where binned; None where it has none."""
    height, width = (int(side) for side in _expected_size(message))
    return (height, width) if height and width else None


def _expected_size(message: CameraInfo) -> tuple[float, float]:
    """Height and width of the image as it is published; 0 for a side that is left out."""
    across, down = max(message.binning_x, 1), max(message.binning_y, 1)
    return (message.roi.height or message.height) / down, (message.roi.width or message.width) / across


def _read(
    message: CameraInfo, matrix: Sequence[float], row: int, image_size: tuple[int, int]
) -> Pinhole | None:
    """The camera of a matrix with so many numbers in a row; None where no camera has such."""
    fx, cx, fy, cy = (float(matrix[i]) for i in (0, 2, row + 1, row + 2))
    across, down = max(message.binning_x, 1), max(message.binning_y, 1)
    left, top = message.roi.x_offset, message.roi.y_offset
    found = Pinhole(fx / across, fy / down, (cx - left) / across, (cy - top) / down, image_size)
    third_row = tuple(matrix[2 * row : 2 * row + 3])
    return found if third_row == (0, 0, 1) and _is_plausible(found) else None


def _is_plausible(found: Pinhole) -> bool:
    """Comparisons with NaN are false."""
    height, width = found.image_size
    focal = width / WIDEST <= found.fx <= LARGEST and height / WIDEST <= found.fy <= LARGEST
    return focal and abs(found.cx) <= LARGEST and abs(found.cy) <= LARGEST


def _shows_its_axis(found: Pinhole) -> bool:
    height, width = found.image_size
    return 0 <= found.cx <= width and 0 <= found.cy <= height


def _matrix(matrix: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in matrix) + "]"


def _check_size(message: CameraInfo, image_size: tuple[int, int], name: str) -> dict[str, str]:
    """A region of interest of 0 x 0 is the full sensor; drivers round a binned size up or down.

    Returns a warning by its reason where the size is left out.
    """
    roi, height, width = message.roi, message.height, message.width
    right, bottom = roi.x_offset + (roi.width or width), roi.y_offset + (roi.height or height)
    if (width and right > width) or (height and bottom > height):
        raise CameraInfoError(
            "camera_info_size",
            f"{name} has a region of interest of {roi.width}x{roi.height} at {roi.x_offset}, {roi.y_offset}, "
            f"beyond its sensor of {width}x{height}; mend the driver's roi, or set it to 0",
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
        "camera_info_no_size": f"{name} leaves the size out: it is taken to be for images of "
        f"{image_size[1]}x{image_size[0]}; let the driver set width and height"
    }
