"""Depth through the real node: objects in metres with the image's stamp, and every fault counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from diagnostic_msgs.msg import DiagnosticArray
from node_harness import (
    FRAME_ID,
    NODE,
    Probe,
    count,
    image_message,
    picture,
    running_node,
    send_and_wait,
    stamp_ms,
    wait_until,
)
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from seg_node.msg import InstanceMaskArray, Object3DArray

DISTANCE_MM = 800
TOPICS = ("/image", "/depth", "/camera_info")


def depth_message(millimetres: NDArray[np.uint16], stamp: int) -> Image:
    return image_message(millimetres, stamp, "16UC1")


def wall(height: int = 120, width: int = 160) -> NDArray[np.uint16]:
    """What a camera sees that looks straight at a wall."""
    return np.full((height, width), DISTANCE_MM, np.uint16)


def calibration(stamp: int, focal: float = 200.0) -> CameraInfo:
    info = CameraInfo(header=image_message(picture(), stamp).header, height=120, width=160)
    info.k = [focal, 0.0, 79.5, 0.0, focal, 59.5, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, 79.5, 0.0, 0.0, focal, 59.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def test_objects_lie_on_the_wall_that_the_depth_image_shows(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, with_depth):
        heard = probe.listen(Object3DArray, f"{NODE}/objects")
        instances = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        clouds = probe.listen(PointCloud2, f"{NODE}/cloud")
        markers = probe.listen(MarkerArray, f"{NODE}/markers")
        colour, depth = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        probe.publisher(CameraInfo, TOPICS[2]).publish(calibration(1000))
        depth.publish(depth_message(wall(), 1004))  # within the slop of 10 ms
        message = send_and_wait(probe, image_message(picture(), 1000), heard, colour)
        wait_until(lambda: bool(clouds and markers and instances), 20, "the other outputs")
    assert message.header.frame_id == FRAME_ID
    masks = {mask.id: mask for mask in instances[0].instances}
    located = [found for found in message.objects if found.num_points]
    assert {found.id for found in message.objects} == set(masks)
    assert located
    for found in located:
        assert found.centroid.z == pytest.approx(DISTANCE_MM / 1000, abs=1e-3)
        mask = masks[found.id]
        column = found.centroid.x / found.centroid.z * 200 + 79.5
        assert mask.roi.x_offset <= column <= mask.roi.x_offset + mask.roi.width
    assert clouds[0].header == message.header
    assert 0 < clouds[0].width <= sum(found.num_points for found in located)
    assert len(markers[0].markers) == 1 + 2 * len(located)
    assert all(marker.header.frame_id == FRAME_ID for marker in markers[0].markers[1:])


def test_every_fault_of_depth_is_counted_and_masks_go_on(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, with_depth) as node:
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        objects = probe.listen(Object3DArray, f"{NODE}/objects")
        instances = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        colour, depth = (probe.publisher(Image, topic) for topic in TOPICS[:2])
        info = probe.publisher(CameraInfo, TOPICS[2])

        def send(stamp: int, millimetres: NDArray[np.uint16], depth_stamp: int) -> None:
            depth.publish(depth_message(millimetres, depth_stamp))
            send_and_wait(probe, image_message(picture(), stamp), instances, colour)

        send(1000, wall(), 1000)
        wait_until(lambda: count(reports, "warned.no_camera_info") == 1, 10, "the missing CameraInfo")
        info.publish(calibration(1000, focal=0.0))
        send(2000, wall(), 2000)
        wait_until(lambda: count(reports, "warned.uncalibrated") == 1, 10, "K[0] = 0")
        info.publish(calibration(1000))
        send(3000, wall(60, 80), 3000)
        wait_until(lambda: count(reports, "warned.depth_size") == 1, 10, "depth of another size")
        send(4000, wall(), 4100)
        wait_until(lambda: count(reports, "warned.no_depth") == 1, 10, "a far stamp")
        assert any(r.status[0].level == b"\x01" and "no_depth 1" in r.status[0].message for r in reports)
        assert not objects
        send(5000, wall(), 5000)
        wait_until(lambda: bool(objects), 20, "objects, after all that")
        assert stamp_ms(objects[0].header) == 5000
        assert [stamp_ms(m.header) for m in instances] == [1000, 2000, 3000, 4000, 5000]
        assert "80x60" in node.log and "160x120" in node.log


def test_a_depth_camera_that_stops_does_not_stop_the_masks(
    with_depth: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, with_depth):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        colour = probe.publisher(Image, TOPICS[0])
        send_and_wait(probe, image_message(picture(), 1000), heard, colour)  # nobody sends depth: no waiting
        silent = probe.publisher(Image, TOPICS[1])
        colour.publish(image_message(picture(), 2000))
        colour.publish(image_message(picture(), 2100))  # the one before goes on without depth
        wait_until(lambda: len(heard) > 1, 20, "masks without depth")
        assert stamp_ms(heard[1].header) == 2000
        probe.node.destroy_publisher(silent)


def test_a_target_frame_without_tf2_is_refused_with_the_cure(
    with_depth: dict[str, Any], tmp_path: Path
) -> None:
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("tf2_ros is in this environment")
    with (
        pytest.raises(AssertionError, match="tf2_ros"),
        running_node(tmp_path, {**with_depth, "target_frame": "base_link"}),
    ):
        pass
