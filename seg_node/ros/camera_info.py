"""sensor_msgs/CameraInfo to a pinhole camera of the image as it is published."""

from typing import Literal

from sensor_msgs.msg import CameraInfo

from seg_node.pinhole import Pinhole


class CameraInfoError(ValueError):
    """A calibration that does not fit. `reason` is the token counted in /diagnostics."""

    def __init__(self, reason: Literal["uncalibrated", "camera_info_size"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


def to_pinhole(message: CameraInfo, image_size: tuple[int, int]) -> Pinhole:
    """The camera of an image of that size, (height, width).

    P, of the rectified image, unless P[0] is 0; then K. Both are of the sensor's full resolution; region of
    interest and binning turn them into the image's, as in image_geometry: offset away, then divided.
    Distortion is not applied: the image should be a rectified one, or have little.

    Raises CameraInfoError: uncalibrated (K[0] is 0), camera_info_size.
    """
    if not message.k[0] > 0 or not message.k[4] > 0:
        raise CameraInfoError(
            "uncalibrated",
            f"camera_info of '{message.header.frame_id}' has K[0] = {message.k[0]:g}: the camera is not "
            "calibrated; calibrate it, or let its driver publish the factory's values",
        )
    _check_size(message, image_size)
    matrix, row = (message.p, 4) if message.p[0] else (message.k, 3)
    fx, cx, fy, cy = (float(matrix[i]) for i in (0, 2, row + 1, row + 2))
    across, down = max(message.binning_x, 1), max(message.binning_y, 1)
    left, top = message.roi.x_offset, message.roi.y_offset
    return Pinhole(fx / across, fy / down, (cx - left) / across, (cy - top) / down, image_size)


def _check_size(message: CameraInfo, image_size: tuple[int, int]) -> None:
    """A region of interest of 0 x 0 is the full sensor; drivers round a binned size up or down."""
    width, height = message.roi.width or message.width, message.roi.height or message.height
    expected = height / max(message.binning_y, 1), width / max(message.binning_x, 1)
    if any(abs(whole - part) >= 1 for whole, part in zip(image_size, expected, strict=True)):
        raise CameraInfoError(
            "camera_info_size",
            f"camera_info of '{message.header.frame_id}' is for images of {expected[1]:g}x{expected[0]:g}, "
            f"but the image is {image_size[1]}x{image_size[0]}; remap camera_info to the one beside it",
        )
