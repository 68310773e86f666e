# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo to pinhole: which matrix is used, region of interest, binning, and what is refused."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from seg_node.ros.messages.camera_info import CameraInfoError, announced_size, to_pinhole
from seg_node.spatial.pinhole import Pinhole


def info(**fields: object) -> CameraInfo:
    k = [500.0, 0.0, 321.0, 0.0, 510.0, 243.0, 0.0, 0.0, 1.0]
    p = [480.0, 0.0, 318.0, 0.0, 0.0, 490.0, 238.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    message = CameraInfo(height=480, width=640, k=k, p=p)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_the_rectified_matrix_is_used() -> None:
    assert to_pinhole(info(), (480, 640)) == Pinhole(480.0, 490.0, 318.0, 238.0, (480, 640))


def test_without_it_the_raw_matrix_is_used() -> None:
    assert to_pinhole(info(p=[0.0] * 12), (480, 640)) == Pinhole(500.0, 510.0, 321.0, 243.0, (480, 640))


def test_region_of_interest_is_subtracted_before_binning_divides() -> None:
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=320, height=200)
    found = to_pinhole(info(roi=roi, binning_x=2, binning_y=4), (50, 160))
    assert found == Pinhole(240.0, 122.5, 109.0, 49.5, (50, 160))


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (480, 640)),
        ({"binning_x": 2, "binning_y": 4}, (120, 320)),
        ({"roi": RegionOfInterest(x_offset=100, y_offset=40, width=321, height=200)}, (200, 321)),
        ({"roi": RegionOfInterest(width=321, height=200), "binning_x": 2}, (200, 160)),
        ({"height": 0, "width": 0}, None),
        ({"height": 0}, None),
        ({"height": 1, "binning_y": 2}, None),
    ],
)
def test_the_size_of_the_images_is_announced(fields: dict[str, object], size: tuple[int, int] | None) -> None:
    assert announced_size(info(**fields)) == size


@given(
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 4),
    st.integers(0, 4),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_a_point_projects_as_in_the_full_image_cropped_and_binned(
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


NAN, INF = float("nan"), float("inf")
K_CAMERA = Pinhole(500.0, 510.0, 321.0, 243.0, (480, 640))


def changed(matrix: list[float], **places: float) -> list[float]:
    """Replace the numbers at the given places: _0=5.0 for the first."""
    changed = list(matrix)
    for place, value in places.items():
        changed[int(place[1:])] = value
    return changed


def warnings(message: CameraInfo, size: tuple[int, int] = (480, 640)) -> tuple[Pinhole, list[str]]:
    """Return the camera and the reasons of the warnings."""
    reported: list[tuple[str, str]] = []
    found = to_pinhole(message, size, lambda reason, text: reported.append((reason, text)))
    assert all("camera_info of" in text for _, text in reported)
    return found, [reason for reason, _ in reported]


@pytest.mark.parametrize("k", [[0.0] * 9, [NAN] * 9])
def test_an_uncalibrated_camera_is_refused(k: list[float]) -> None:
    with pytest.raises(CameraInfoError, match="not calibrated") as caught:
        to_pinhole(info(k=k), (480, 640))
    assert caught.value.reason == "uncalibrated"


BAD_NUMBERS = [
    {"_0": NAN},
    {"_0": INF},
    {"_0": -480.0},
    {"_0": 1e300},
    {"_0": 0.004},  # metres for pixels
    {"_2": NAN},
    {"_2": -INF},
    {"_2": 1e300},
]


@pytest.mark.parametrize("places", [*BAD_NUMBERS, {"_5": 0.0}, {"_5": NAN}, {"_6": INF}, {"_10": 0.0}])
def test_k_is_used_with_a_warning_if_p_is_not_a_camera_matrix(places: dict[str, float]) -> None:
    p = changed(info().p.tolist(), **places)
    assert warnings(info(p=p)) == (K_CAMERA, ["bad_projection"])


def test_a_3x3_matrix_written_into_p_is_detected() -> None:
    p = [500.0, 0.0, 321.0, 0.0, 510.0, 243.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    assert warnings(info(p=p)) == (K_CAMERA, ["bad_projection"])


def test_a_good_calibration_and_a_missing_p_give_no_warning() -> None:
    assert warnings(info())[1] == []
    assert warnings(info(p=[0.0] * 12)) == (K_CAMERA, [])


@pytest.mark.parametrize("p", [[0.0] * 12, [NAN] * 12])
@pytest.mark.parametrize("places", [*BAD_NUMBERS, {"_4": 0.0}, {"_4": NAN}, {"_5": INF}, {"_6": 321.0}])
def test_without_a_usable_matrix_the_camera_is_uncalibrated(places: dict[str, float], p: list[float]) -> None:
    with pytest.raises(CameraInfoError, match="not calibrated") as caught:
        to_pinhole(info(k=changed(info().k.tolist(), **places), p=p), (480, 640))
    assert caught.value.reason == "uncalibrated"


@pytest.mark.parametrize("size", [(0, 0), (480, 0), (0, 640)])
def test_a_missing_size_is_the_images_with_a_warning(size: tuple[int, int]) -> None:
    found, reasons = warnings(info(height=size[0], width=size[1]))
    assert (found, reasons) == (to_pinhole(info(), (480, 640)), ["camera_info_no_size"])


def test_a_missing_size_is_not_that_of_a_much_smaller_image() -> None:
    with pytest.raises(CameraInfoError, match=r"318, 238 is outside the image of 160x120") as caught:
        to_pinhole(info(height=0, width=0), (120, 160))
    assert caught.value.reason == "camera_info_size"


@pytest.mark.parametrize(
    "fields",
    [
        {"roi": RegionOfInterest(x_offset=2**32 - 1, y_offset=0, width=320, height=240)},
        {"roi": RegionOfInterest(x_offset=0, y_offset=241, width=640, height=240)},
        {"roi": RegionOfInterest(x_offset=100)},
        {"binning_x": 2**32 - 1},
        {"binning_y": 2**31},
        {"binning_x": 2**31, "binning_y": 2**31, "height": 0, "width": 0},
        {"height": 2**32 - 1, "width": 2**32 - 1},
    ],
)
def test_a_region_or_binning_that_the_sensor_cannot_have_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(CameraInfoError):
        to_pinhole(info(**fields), (480, 640))


ANY_FLOAT = st.one_of(st.floats(), st.sampled_from([0.0, 1.0, 500.0]))
ANY_SIZE = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 480, 640]))


@given(
    st.lists(ANY_FLOAT, min_size=9, max_size=9),
    st.lists(ANY_FLOAT, min_size=12, max_size=12),
    st.lists(ANY_SIZE, min_size=8, max_size=8),
    st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
)
def test_any_numbers_give_a_plausible_camera_or_an_error(
    k: list[float], p: list[float], sizes: list[int], image_size: tuple[int, int]
) -> None:
    message = info(k=k, p=p, height=sizes[0], width=sizes[1], binning_x=sizes[2], binning_y=sizes[3])
    message.roi = RegionOfInterest(x_offset=sizes[4], y_offset=sizes[5], width=sizes[6], height=sizes[7])
    try:
        found = to_pinhole(message, image_size)
    except CameraInfoError:
        return
    assert 0 < found.fx <= 1e6 and 0 < found.fy <= 1e6
    assert np.isfinite(found.rays([0, image_size[1]], [0, image_size[0]])).all()
