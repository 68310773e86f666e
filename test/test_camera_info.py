"""CameraInfo to pinhole: which matrix counts, region of interest, binning, and what is refused."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from seg_node.pinhole import Pinhole
from seg_node.ros.camera_info import CameraInfoError, to_pinhole


def info(**fields: object) -> CameraInfo:
    k = [500.0, 0.0, 321.0, 0.0, 510.0, 243.0, 0.0, 0.0, 1.0]
    p = [480.0, 0.0, 318.0, 0.0, 0.0, 490.0, 238.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    message = CameraInfo(height=480, width=640, k=k, p=p)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_the_rectified_matrix_counts() -> None:
    assert to_pinhole(info(), (480, 640)) == Pinhole(480.0, 490.0, 318.0, 238.0, (480, 640))


def test_without_it_the_raw_one_counts() -> None:
    assert to_pinhole(info(p=[0.0] * 12), (480, 640)) == Pinhole(500.0, 510.0, 321.0, 243.0, (480, 640))


def test_region_of_interest_is_taken_off_before_binning_divides() -> None:
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=320, height=200)
    found = to_pinhole(info(roi=roi, binning_x=2, binning_y=4), (50, 160))
    assert found == Pinhole(240.0, 122.5, 109.0, 49.5, (50, 160))


@given(
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 4),
    st.integers(0, 4),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_a_point_is_seen_where_the_full_image_sees_it_cut_and_binned(
    left: int, top: int, across: int, down: int, x: float, y: float
) -> None:
    roi = RegionOfInterest(x_offset=left, y_offset=top, width=400, height=240)
    size = (240 // max(down, 1), 400 // max(across, 1))
    part = to_pinhole(info(roi=roi, binning_x=across, binning_y=down), size).project([[x, y, 2.0]])
    full = to_pinhole(info(), (480, 640)).project([[x, y, 2.0]])
    np.testing.assert_allclose(part * [max(across, 1), max(down, 1)] + [left, top], full, atol=1e-6)


@pytest.mark.parametrize("size", [(240, 320), (480, 641), (640, 480)])
def test_the_size_of_another_image_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(CameraInfoError, match=rf"640x480.*{size[1]}x{size[0]}") as caught:
        to_pinhole(info(), size)
    assert caught.value.reason == "camera_info_size"


@pytest.mark.parametrize("k", [[0.0] * 9, [float("nan")] * 9])
def test_an_uncalibrated_camera_is_refused(k: list[float]) -> None:
    with pytest.raises(CameraInfoError, match="not calibrated") as caught:
        to_pinhole(info(k=k), (480, 640))
    assert caught.value.reason == "uncalibrated"
