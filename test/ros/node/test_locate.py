# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects in metres from messages: what is wrong with depth or calibration costs the objects alone."""

import array
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from seg_node.ros.messages.objects import to_cloud
from seg_node.ros.node.locate import NotLocated, Space, locate
from seg_node.spatial.lift import LiftOptions
from seg_node.types import Frame, Instances, MaskCrop

HEIGHT, WIDTH, FOCAL = 30, 40, 50.0
FRAME = Frame(np.full((HEIGHT, WIDTH, 3), 9, np.uint8), "bgr", 7, "camera")
INSTANCES = Instances(
    np.array([[10, 5, 30, 25]], np.float32),
    np.array([0.5], np.float32),
    np.array([3], np.int32),
    (MaskCrop(10, 5, np.ones((20, 20), np.bool_)),),
    np.array([1], np.uint32),
)
OPTIONS = LiftOptions()
K = [FOCAL, 0.0, 19.5, 0.0, FOCAL, 14.5, 0.0, 0.0, 1.0]
INFO = CameraInfo(height=HEIGHT, width=WIDTH, k=K)


def depth(height: int = HEIGHT, width: int = WIDTH, metres: float = 2.0, encoding: str = "32FC1") -> Image:
    """A wall across the view."""
    values = np.full((height, width), metres, np.float32)
    data = array.array("B", values.tobytes())
    return Image(height=height, width=width, encoding=encoding, step=4 * width, data=data)


def find(depth: Image | CompressedImage | None, info: CameraInfo | None, **options: bool) -> Space:
    return locate(FRAME, INSTANCES, depth, info, replace(OPTIONS, **options), lambda *_: None)


def test_an_object_is_where_depth_and_calibration_say() -> None:
    found = find(depth(), INFO)
    assert (found.frame.frame_id, found.frame.stamp_ns, found.in_camera) == ("camera", 7, True)
    (wall,) = found.objects
    # the mask's middle is half a pixel beside the optical axis
    np.testing.assert_allclose(wall.centroid, [0, 0, 2], atol=1e-6)


def test_the_image_is_kept_only_if_points_need_its_colours() -> None:
    without = find(depth(), INFO)
    assert without.frame.pixels.size == 0
    assert to_cloud(without.frame, without.objects).width == 0  # somebody subscribed meanwhile
    coloured = find(depth(), INFO, keep_points=True)
    assert coloured.frame.pixels is FRAME.pixels and len(coloured.objects[0].points)


@pytest.mark.parametrize(
    ("depth_image", "info", "reason"),
    [
        (None, INFO, "no_depth"),
        (depth(), None, "no_camera_info"),
        (depth(), CameraInfo(height=HEIGHT, width=WIDTH), "uncalibrated"),
        (depth(), CameraInfo(height=HEIGHT, width=WIDTH, k=[float("nan")] * 9, p=[0.5] * 12), "uncalibrated"),
        (depth(), CameraInfo(height=WIDTH, width=HEIGHT, k=K), "camera_info_size"),
        (depth(WIDTH, HEIGHT), INFO, "depth_size"),
        (depth(encoding="rgb8"), INFO, "unknown_encoding"),
        (Image(height=HEIGHT, width=WIDTH, encoding="32FC1", step=4 * WIDTH), INFO, "truncated_data"),
        (Image(encoding="32FC1"), INFO, "empty_image"),
        (CompressedImage(format="jpeg", data=[1, 2, 3]), INFO, "unknown_encoding"),
        (CompressedImage(format="16UC1; compressedDepth png", data=[0] * 5), INFO, "truncated_data"),
    ],
)
def test_each_fault_has_its_reason(depth_image: Image | None, info: CameraInfo | None, reason: str) -> None:
    with pytest.raises(NotLocated) as caught:
        find(depth_image, info)
    assert caught.value.reason == reason


def test_repairs_of_the_calibration_are_reported() -> None:
    heard: list[str] = []
    p = [FOCAL, 0.0, 19.5, 0.0, 0.0, 0.0, 14.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    info = CameraInfo(k=K, p=p)
    locate(FRAME, INSTANCES, depth(), info, OPTIONS, lambda reason, _: heard.append(reason))
    assert heard == ["camera_info_no_size", "bad_projection"]


@pytest.mark.parametrize("error", [ZeroDivisionError("float"), ValueError("odd"), MemoryError(), KeyError(3)])
def test_an_unforeseen_fault_carries_its_cause_for_the_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("seg_node.ros.node.locate.lift_instances", broken)
    with pytest.raises(NotLocated, match=type(error).__name__) as caught:
        find(depth(), INFO)
    assert caught.value.reason == "locate_failed"
    assert caught.value.unforeseen_cause is error


@settings(deadline=None)
@given(
    st.binary(max_size=64),
    st.sampled_from(["32FC1", "16UC1", "mono16", "mono8", "", "\x00\n"]),
    st.integers(0, 2**32 - 1) | st.sampled_from([HEIGHT, WIDTH]),
    st.integers(0, 2**32 - 1) | st.sampled_from([HEIGHT, WIDTH]),
    st.integers(0, 2**32 - 1) | st.sampled_from([4 * WIDTH, 2 * WIDTH]),
    st.booleans(),
)
def test_any_depth_message_gives_objects_or_a_reason(
    data: bytes, encoding: str, height: int, width: int, step: int, enough: bool
) -> None:
    data = (data or b"\x00") * (4800 // max(len(data), 1) + 1) if enough else data
    message = Image(height=height, width=width, encoding=encoding, step=step, data=array.array("B", data))
    try:
        (found,) = find(message, INFO).objects
    except NotLocated as error:
        assert error.reason != "locate_failed", error
    else:
        assert np.isfinite(found.centroid).all() == bool(found.num_points)
