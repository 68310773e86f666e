# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""seg_node view: what it subscribes to and pairs, and the command as a process beside a real node."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from node_harness import FRAME_ID, image_message, picture, running_node, wait_until
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from seg_node.cli import main
from seg_node.drawing.draw import draw_segmentation, encode_jpeg
from seg_node.msg import FrameTiming, InstanceMask, InstanceMaskArray, Object3D, Object3DArray
from seg_node.ros.messages.cdr import serialize_instances
from seg_node.ros.messages.convert import stamp_to_ns
from seg_node.ros.messages.from_messages import read_cloud, read_instances
from seg_node.ros.view.viewer_node import RecentImages, choose_image_topic
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, Segmentation

if TYPE_CHECKING:
    from node_harness import Probe

COMMAND = [sys.executable, "-m", "seg_node.cli", "view"]
PIXELS = picture()
RAW, JPEG = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def view(*arguments: str | Path) -> "subprocess.Popen[str]":
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def one_object() -> Segmentation:
    masks = (MaskCrop(20, 30, np.tri(8, 10, dtype=np.bool_)),)
    box = np.array([[20, 30, 30, 38]], np.float32)
    found = Instances(box, np.float32([0.5]), np.int32([3]), masks, np.uint32([9]))
    return Segmentation((120, 160), found)


def message_of(frame: Frame, found: Segmentation, labels: LabelSet, encoding: Any) -> InstanceMaskArray:
    return deserialize_message(serialize_instances(frame, found, labels, encoding), InstanceMaskArray)


# --- parts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "camera", "chosen"),
    [
        ({}, "", None),
        ({"/camera/image_raw": RAW}, "", "/camera/image_raw"),
        ({"/camera/image_raw/compressed": JPEG}, "", "/camera/image_raw/compressed"),
        ({"/c/color/image_raw": RAW, "/c/aligned_depth/image_raw": RAW}, "", "/c/color/image_raw"),
        ({"/depth_camera/image": RAW}, "", "/depth_camera/image"),
        ({"/front/image": RAW, "/rear/image": RAW}, "rear", "/rear/image"),
        ({"/front/image": RAW, "/front/depth": RAW, "/frontier/image": RAW}, "front", "/front/image"),
    ],
)
def test_the_colour_image_of_the_camera_is_chosen(
    images: dict[str, str], camera: str, chosen: str | None
) -> None:
    assert choose_image_topic(images, camera) == chosen


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("--node", "a b", "node"),
        ("--node", "", "node"),
        ("--camera", "front left", "camera"),
        ("--image", "/a/ b", "topic"),
        ("--image", "", "topic"),
    ],
)
def test_invalid_names_are_refused_at_once(
    capsys: pytest.CaptureFixture[str], option: str, value: str, kind: str
) -> None:
    assert main(["view", "--save", "out.rrd", option, value]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"seg_node: {option} '") and f"cannot be the name of a {kind}: give" in line


def test_several_possible_images_are_named() -> None:
    with pytest.raises(ValueError, match=r"/a/image, /b/image: choose one with --image"):
        choose_image_topic({"/b/image": RAW, "/a/image": RAW}, "")


def test_a_result_takes_its_image_and_drops_earlier_ones() -> None:
    images = RecentImages()
    for stamp_ms in (1, 2, 3):
        images.add(image_message(PIXELS, stamp_ms))
    taken = images.take(2_000_000)
    assert taken is not None and stamp_to_ns(taken.header.stamp) == 2_000_000
    assert images.take(1_000_000) is None and images.take(2_000_000) is None
    assert images.take(3_000_000) is not None


def test_waiting_images_are_limited_by_their_bytes_and_the_newest_stays() -> None:
    images = RecentImages(limit=2 * PIXELS.nbytes)
    for stamp_ms in (1, 2, 2, 3):
        images.add(image_message(PIXELS, stamp_ms))
    assert images.take(1_000_000) is None
    assert images.take(2_000_000) is not None
    small = RecentImages(limit=1)
    small.add(image_message(PIXELS, 5))
    assert small.take(5_000_000) is not None


@pytest.mark.parametrize("encoding", ["mono8", "bits", "rle"])
def test_instances_survive_the_round_trip(encoding: Any) -> None:
    sent, labels = one_object(), LabelSet({3: "cup"})
    message = message_of(Frame(PIXELS, "bgr"), sent, labels, encoding)
    segmentation, names = read_instances(message)
    assert segmentation.image_size == sent.image_size and names.name(3) == "cup"
    np.testing.assert_array_equal(segmentation.instances.boxes_xyxy, sent.instances.boxes_xyxy)
    np.testing.assert_array_equal(segmentation.instances.masks[0].pixels, sent.instances.masks[0].pixels)
    assert segmentation.instances.masks[0].roi == sent.instances.masks[0].roi
    assert segmentation.instances.ids.tolist() == [9]


@pytest.mark.parametrize(("size", "count"), [((2**32 - 1, 2**32 - 1), 0), ((8000, 8000), 5)])
def test_a_result_of_too_many_pixels_is_refused(size: tuple[int, int], count: int) -> None:
    """A few bytes of rle declare a mask of 64 megapixels, all of them set or none."""
    message = InstanceMaskArray(height=size[0], width=size[1])
    for _ in range(count):
        mask = InstanceMask(encoding="rle", data=list(b"0PPTQm1"))
        mask.roi.height, mask.roi.width = size
        message.instances.append(mask)
    with pytest.raises(ValueError, match=f"with {count} objects has .* pixels, over 256000000"):
        read_instances(message)


def test_an_empty_result_is_read_as_empty() -> None:
    segmentation, _ = read_instances(InstanceMaskArray(height=4, width=6))
    assert len(segmentation.instances) == 0 and segmentation.instances.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_points_are_read_at_their_offsets_in_either_byte_order(order: str) -> None:
    message = cloud(order, [(0.5, -1.0, 2.0, 0x0A0B0C), (0.0, 3.0, 1.0, 0xFF0001)])
    points, rgb = read_cloud(message)
    assert points.tolist() == [[0.5, -1.0, 2.0], [0.0, 3.0, 1.0]]
    assert rgb is not None and rgb.tolist() == [[10, 11, 12], [255, 0, 1]]
    del message.fields[-1]
    assert read_cloud(message)[1] is None


def cloud(order: str, points: list[tuple[float, float, float, int]]) -> PointCloud2:
    offsets = {"z": 0, "y": 4, "x": 12, "rgb": 16}
    kinds = [f"{order}u4" if name == "rgb" else f"{order}f4" for name in offsets]
    record = np.dtype({"names": [*offsets], "formats": kinds, "offsets": [*offsets.values()], "itemsize": 24})
    values = np.array([(z, y, x, rgb) for x, y, z, rgb in points], record)
    return PointCloud2(
        height=1,
        width=len(points),
        fields=[PointField(name=name, offset=offset, count=1) for name, offset in offsets.items()],
        is_bigendian=order == ">",
        point_step=24,
        row_step=24 * len(points),
        data=values.tobytes(),
    )


# --- the command ------------------------------------------------------------------------------------


def test_help_needs_no_viewer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(SystemExit, match="0"):
        main(["view", "--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in ("--save", "--serve", "--camera", "--node"))


def test_a_missing_viewer_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "seg_node.drawing.rerun_view", raising=False)
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert main(["view", "--save", "a.rrd"]) == 1
    assert "pip install 'rerun-sdk>=0.24'" in capsys.readouterr().err


def test_without_a_display_the_headless_options_are_named() -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not in this environment")
    environment = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
    result = subprocess.run(COMMAND, capture_output=True, text=True, env=environment, timeout=60)
    assert result.returncode == 2
    assert all(word in result.stderr for word in ("no display", "--serve", "--save"))
    assert "Traceback" not in result.stderr


def test_a_live_nodes_images_results_and_times_are_recorded(
    tmp_path: Path, weights: dict[str, Any], probe: "Probe"
) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not in this environment")
    from recording import read_recording

    from seg_node.drawing.rerun_view import JPEG_QUALITY

    file = tmp_path / "live.rrd"
    with running_node(tmp_path, weights):
        viewer = view("--save", file, "--frames", "2")
        camera = probe.node.create_publisher(Image, "/image", 50)
        instances = probe.listen(InstanceMaskArray, "/seg_node/instances")
        timing = probe.listen(FrameTiming, "/seg_node/timing")
        wait_until(lambda: probe.node.count_subscribers("/image") == 2, 30, "node and viewer")
        for stamp_ms in range(100, 4000, 100):
            before = len(timing)
            camera.publish(image_message(PIXELS, stamp_ms))
            wait_until(lambda before=before: len(timing) > before, 30, "a result")
            if viewer.poll() is not None:
                break
        assert viewer.wait(30) == 0, viewer.stdout.read() if viewer.stdout else ""
    logged = read_recording(file)
    sent = {stamp_to_ns(message.header.stamp): message for message in instances}
    shown = logged["/scene/image EncodedImage:blob"]
    assert len(shown) == 2
    for stamp_ns, (blob,) in shown.items():
        segmentation, labels = read_instances(sent[stamp_ns])
        assert len(segmentation.instances)
        drawn = draw_segmentation(PIXELS, segmentation, labels, ids=True)
        assert bytes(blob) == encode_jpeg(drawn, JPEG_QUALITY).tobytes()
    took = {stamp_to_ns(message.header.stamp): message.infer_ms for message in timing}
    inferred = logged["/timing/infer Scalars:scalars"]
    assert inferred and all(value == [took[stamp_ns]] for stamp_ns, value in inferred.items())


def test_objects_and_their_points_are_shown_with_their_camera(tmp_path: Path, probe: "Probe") -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not in this environment")
    from recording import read_recording

    file = tmp_path / "objects.rrd"
    probe.node.create_subscription(Image, "/front/image", lambda _: None, 1)
    kinds = {
        "/front/image": Image,
        "/front/camera_info": CameraInfo,
        "/probe/front/objects": Object3DArray,
        "/probe/front/cloud": PointCloud2,
        "/probe/front/instances": InstanceMaskArray,
    }
    publishers = {topic: probe.node.create_publisher(kind, topic, 5) for topic, kind in kinds.items()}
    viewer = view("--node", "/probe", "--camera", "front", "--save", file, "--frames", "2")
    wait_until(lambda: probe.node.count_subscribers("/probe/front/instances") == 1, 30, "the viewer")
    wait_until(lambda: all(p.get_subscription_count() for p in publishers.values()), 10, "all its topics")
    frame = Frame(PIXELS, "bgr", 500_000_000, FRAME_ID)
    instances = message_of(frame, one_object(), LabelSet({3: "cup"}), "bits")
    header = instances.header
    located = Object3D(id=9, class_name="cup", num_points=50, size=Vector3(x=0.1, y=0.2, z=0.3))
    located.pose = Pose(position=Point(x=1.0, y=2.0, z=3.0), orientation=Quaternion(x=1.0, w=0.0))
    points = cloud("<", [(0.5, -1.0, 2.0, 0x0A0B0C)])
    points.header = header
    info = CameraInfo(header=header, height=120, width=160, k=[90.0, 0, 80, 0, 90, 60, 0, 0, 1])
    for name, message in (
        ("/front/camera_info", info),
        ("/front/image", image_message(PIXELS, 500)),
        ("/probe/front/instances", instances),
        ("/probe/front/cloud", points),
        ("/probe/front/objects", Object3DArray(header=header, objects=[located, Object3D(id=4)])),
    ):
        publishers[name].publish(message)
        give_viewer_time()
    publishers["/front/image"].publish(image_message(PIXELS, 600))
    instances.header = image_message(PIXELS, 600).header
    publishers["/probe/front/instances"].publish(instances)
    output, _ = viewer.communicate(timeout=60)
    assert viewer.returncode == 0 and "shown: 2 results; without their image: 0" in output, output
    logged, stamp_ns = read_recording(file), 500_000_000
    boxes = "/front/scene/objects Boxes3D"
    assert logged[f"{boxes}:labels"][stamp_ns] == ["cup #9"], "objects that are not located are omitted"
    assert logged[f"{boxes}:centers"][stamp_ns] == [[1.0, 2.0, 3.0]]
    assert logged[f"{boxes}:quaternions"][stamp_ns] == [[1.0, 0.0, 0.0, 0.0]]
    assert logged["/front/scene/cloud Points3D:positions"][stamp_ns] == [[0.5, -1.0, 2.0]]
    (matrix,) = logged["/front/scene/image Pinhole:image_from_camera"][stamp_ns]
    assert matrix == [90, 0, 0, 0, 90, 0, 80.5, 60.5, 1]


def test_messages_that_cannot_be_shown_are_reported_and_skipped(tmp_path: Path, probe: "Probe") -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not in this environment")
    images = probe.node.create_publisher(Image, "/camera/image", 5)
    instances = probe.node.create_publisher(InstanceMaskArray, "/probe/instances", 5)
    clouds = probe.node.create_publisher(PointCloud2, "/probe/cloud", 5)
    probe.node.create_subscription(Image, "/camera/image", lambda _: None, 1)
    viewer = view("--node", "/probe", "--save", tmp_path / "a.rrd", "--frames", "1")
    wait_until(lambda: all(p.get_subscription_count() for p in (instances, clouds)), 30, "the viewer")
    clouds.publish(PointCloud2(data=b"1234567"))  # without fields, and no whole number of points
    strange = image_message(PIXELS, 100)
    strange.encoding = "strange\nencoding"
    huge = InstanceMaskArray(header=image_message(PIXELS, 200).header, height=2**31, width=2**31)
    good = message_of(Frame(PIXELS, "bgr", 300_000_000, FRAME_ID), one_object(), LabelSet({}), "bits")
    for image, result in (
        (strange, InstanceMaskArray(header=strange.header, height=120, width=160)),
        (image_message(PIXELS, 200), huge),
        (image_message(PIXELS, 300), good),
    ):
        images.publish(image)
        give_viewer_time()
        instances.publish(result)
        give_viewer_time()
    output, _ = viewer.communicate(timeout=60)
    assert viewer.returncode == 0, output
    assert "shown: 1 results; without their image: 0; messages left out: 3" in output
    assert "encoding 'strange\\nencoding' is not supported" in output and "Traceback" not in output


def give_viewer_time() -> None:
    """Pause half a second between messages of different topics, whose order is not guaranteed."""
    time.sleep(0.5)


@pytest.mark.parametrize(
    ("published", "camera", "cure"),
    [
        ("/probe/front/instances", "rear", "choose the camera with --camera"),
        ("/probe/instances", "frnt", "omit --camera"),
    ],
)
def test_an_unknown_camera_is_reported_with_its_cure(
    tmp_path: Path, probe: "Probe", published: str, camera: str, cure: str
) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not in this environment")
    probe.node.create_publisher(InstanceMaskArray, published, 5)
    file = tmp_path / "a.rrd"
    viewer = view("--node", "probe", "--camera", camera, "--save", file)
    output, _ = viewer.communicate(timeout=60)
    assert viewer.returncode == 1
    assert f"/probe/{camera}/instances is not published; {cure}: /probe publishes {published}" in output
    assert "recording" not in output and not file.exists()


def test_a_missing_folder_is_reported_before_the_node_is_awaited(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not in this environment")
    output, _ = view("--save", tmp_path / "missing" / "a.rrd").communicate(timeout=60)
    assert "there is no folder" in output and "waiting" not in output


def test_a_misspelt_node_and_a_misspelt_image_are_reported_with_the_alternatives(
    tmp_path: Path, probe: "Probe"
) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not in this environment")
    instances = probe.node.create_publisher(InstanceMaskArray, "/probe/instances", 5)
    image = probe.node.create_publisher(Image, "/camera/image", 5)
    probe.node.create_publisher(Image, "/probe/class_map", 5)  # the node's own: nothing to choose
    with running_viewer(tmp_path, "--node", "/prob", "--save", tmp_path / "a.rrd") as log:
        wait_until(lambda: "nodes that publish instances: /probe\n" in log(), 40, "the list of nodes")
        assert log().startswith("waiting for /prob to be active")
    with running_viewer(
        tmp_path, "--node", "/probe", "--image", "/camera/nobody", "--save", tmp_path / "a.rrd"
    ) as log:
        wait_until(lambda: instances.get_subscription_count() > 0, 40, "the viewer")
        stamps_ms = iter(range(100, 100_000, 100))

        def is_reported() -> bool:
            message = image_message(PIXELS, next(stamps_ms))
            image.publish(message)
            instances.publish(InstanceMaskArray(header=message.header))
            time.sleep(0.1)
            return "images are published on: /camera/image\n" in log()

        wait_until(is_reported, 40, "the list of image topics")
        assert "no image with the results' stamps on /camera/nobody" in log()


@contextmanager
def running_viewer(folder: Path, *arguments: str | Path) -> Iterator[Callable[[], str]]:
    """Run a viewer; yields a function that reads its output so far. Ctrl-C ends it cleanly."""
    output = folder / "output"
    with output.open("w") as file:
        viewer = subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=file, stderr=subprocess.STDOUT)
    try:
        yield output.read_text
    finally:
        viewer.send_signal(signal.SIGINT)
        assert viewer.wait(30) == 0, output.read_text()
