# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The examples: grasp planner and segment client as processes of their own; what the C++ consumer prints."""

import os
import shutil
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bar_scene import CENTRE, PINHOLE, WIDTH_M, angle_between_deg, bar_crop, bar_mask, depth_m, opening_axis

pytest.importorskip("rclpy")
pytest.importorskip("seg_node.msg", reason="messages not built; run scripts/setup")
from geometry_msgs.msg import Point, Pose, PoseStamped, Vector3
from node_harness import NODE, Probe, image_message, picture, running_node
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from seg_node.masks.crop import tight_crop
from seg_node.msg import InstanceMaskArray, Object3D, Object3DArray
from seg_node.ros.messages.cdr import serialize_instances
from seg_node.ros.messages.convert import to_header
from seg_node.srv import Segment
from seg_node.types import Frame, Instances, LabelSet, MaskCrop, Segmentation

ROOT = Path(__file__).resolve().parents[2]
LABELS = LabelSet({1: "spoon", 2: "bar"})
FRAME_ID = "wrist/camera_optical_frame"
COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler; apt-get install g++")


def frame_at(stamp_ms: int) -> Frame:
    return Frame(np.zeros((*PINHOLE.image_size, 3), np.uint8), "bgr", stamp_ms * 1_000_000, FRAME_ID)


def instances_message(masks: dict[str, MaskCrop], frame: Frame, encoding: Any = "mono8") -> InstanceMaskArray:
    """Class name → mask, best score first: 0.9, 0.8 …"""
    count = len(masks)
    instances = Instances(
        boxes_xyxy=np.zeros((count, 4), np.float32),
        scores=0.9 - 0.1 * np.arange(count, dtype=np.float32),
        class_ids=np.array([*LABELS.ids(masks)] if count == 1 else [1, 2][:count], np.int32),
        masks=tuple(masks.values()),
        ids=np.arange(1, count + 1, dtype=np.uint32),
    )
    data = serialize_instances(frame, Segmentation(frame.image_size, instances), LABELS, encoding)
    return deserialize_message(data, InstanceMaskArray)


def camera_info(frame: Frame) -> CameraInfo:
    height, width = PINHOLE.image_size
    k = [PINHOLE.fx, 0.0, PINHOLE.cx, 0.0, PINHOLE.fy, PINHOLE.cy, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    return CameraInfo(header=to_header(frame), height=height, width=width, k=k, p=p)


def raw_depth(metres: NDArray[np.float32], frame: Frame) -> Image:
    data = array("B", metres.astype("<f4").tobytes())
    height, width = metres.shape
    return Image(
        header=to_header(frame), height=height, width=width, encoding="32FC1", step=4 * width, data=data
    )


def compressed_depth(metres: NDArray[np.float32], frame: Frame) -> CompressedImage:
    """As compressed_depth_image_transport writes it: 12 bytes, then a PNG of millimetres."""
    png = cv2.imencode(".png", np.rint(metres * 1000).astype(np.uint16))[1]
    data = array("B", bytes(12) + png.tobytes())
    return CompressedImage(header=to_header(frame), format="16UC1; compressedDepth png", data=data)


class Planner:
    """The grasp planner's process; its output is in `log`."""

    def __init__(self, folder: Path, transport: str) -> None:
        self._log_path = folder / "planner.log"
        parameters = ["-p", "class_name:=bar", "-p", f"depth_transport:={transport}"]
        remaps = ["-r", "instances:=/seg_node/instances", "-r", "depth:=/camera/depth", "-r", "__node:=hand"]
        command = [
            sys.executable,
            str(ROOT / "examples/grasp_planner.py"),
            "--ros-args",
            *parameters,
            *remaps,
        ]
        with self._log_path.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ)

    @property
    def log(self) -> str:
        return self._log_path.read_text()


@contextmanager
def running_planner(folder: Path, transport: str) -> Iterator[Planner]:
    planner = Planner(folder, transport)
    try:
        yield planner
    finally:
        planner.process.send_signal(signal.SIGINT)
        try:
            planner.process.wait(20)
        except subprocess.TimeoutExpired:
            planner.process.kill()
            raise
    assert planner.process.returncode == 0, planner.log


def publish_until(condition: Callable[[], bool], what: str, *messages: tuple[Any, Any]) -> None:
    """Publishes (publisher, message) again and again, as cameras do: their subscribers are best effort."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, f"timed out waiting for {what}"
        for publisher, message in messages:
            publisher.publish(message)
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("transport", "topic", "kind", "to_depth"),
    [
        ("raw", "/camera/depth", Image, raw_depth),
        ("compressedDepth", "/camera/depth/compressedDepth", CompressedImage, compressed_depth),
    ],
)
def test_planner_publishes_the_grasp_of_a_bar_with_the_images_stamp_and_frame(
    probe: Probe, tmp_path: Path, transport: str, topic: str, kind: Any, to_depth: Callable[..., Any]
) -> None:
    with running_planner(tmp_path, transport):
        poses = probe.listen(PoseStamped, "/hand/grasp_pose")
        markers = probe.listen(Marker, "/hand/grasp_marker")
        depths, infos = probe.publisher(kind, topic), probe.publisher(CameraInfo, "/camera_info")
        arrays = probe.publisher(InstanceMaskArray, "/seg_node/instances")
        camera = [(infos, camera_info(frame_at(0)))]
        for stamp_ms, angle_deg in ((1000, 75), (1033, 30), (1066, 120)):  # all depth before the instances
            camera.append((depths, to_depth(depth_m(bar_mask(angle_deg)), frame_at(stamp_ms))))
        spoon = tight_crop(np.eye(*PINHOLE.image_size, dtype=bool)[:40])  # scored higher, of another class
        message = instances_message({"spoon": spoon, "bar": bar_crop(30)}, frame_at(1033))
        publish_until(lambda: bool(poses and markers), "pose and marker", *camera, (arrays, message))
    pose, marker = poses[0], markers[0]
    assert pose.header == message.header and pose.header.frame_id == FRAME_ID
    at, turn = pose.pose.position, pose.pose.orientation
    assert np.linalg.norm(np.subtract([at.x, at.y, at.z], CENTRE)) < 0.002
    axes = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
    assert angle_between_deg(axes[:, 1], opening_axis(30)) < 3
    assert axes[:, 2] == pytest.approx([0, 0, 1], abs=1e-6)
    assert marker.header == pose.header and marker.pose == pose.pose
    opening = [point.y for point in marker.points]
    assert max(opening) - min(opening) == pytest.approx(WIDTH_M, rel=0.05)


def test_planner_says_what_is_wrong_and_goes_on(probe: Probe, tmp_path: Path) -> None:
    with running_planner(tmp_path, "raw") as planner:
        poses = probe.listen(PoseStamped, "/hand/grasp_pose")
        depths, infos = probe.publisher(Image, "/camera/depth"), probe.publisher(CameraInfo, "/camera_info")
        arrays = probe.publisher(InstanceMaskArray, "/seg_node/instances")
        info = infos, camera_info(frame_at(0))
        seen, flat = {"bar": bar_crop(30)}, depth_m(bar_mask(30))

        def depth(metres: NDArray[np.float32], stamp_ms: int) -> tuple[Any, Image]:
            return depths, raw_depth(metres, frame_at(stamp_ms))

        def complain(text: str, masks: dict[str, MaskCrop], stamp_ms: int, *camera: tuple[Any, Any]) -> None:
            instances = arrays, instances_message(masks, frame_at(stamp_ms))
            publish_until(lambda: text in planner.log, text, *camera, instances)

        none = "no grasp: no depth image with the instances' stamp on /camera/depth"
        complain(f"{none} (1 publisher); its stamps must match the image's to 10 ms", seen, 1000)
        complain("no CameraInfo yet", seen, 1000, depth(flat, 1000))
        complain("depth is 320x240, the image 640x480; align", seen, 2000, info, depth(flat[::2, ::2], 2000))
        complain("bar: there is no depth in its mask", seen, 3000, info, depth(np.zeros_like(flat), 3000))
        complain("no bar in sight, only spoon", {"spoon": bar_crop(30)}, 1000)
        everywhere = tight_crop(np.ones(PINHOLE.image_size, bool))
        complain("image's border cuts it off", {"bar": everywhere}, 1000, depth(flat, 1000), info)
        wide = MaskCrop(100, 100, np.ones((100, 200), bool))  # 100 px * 0.805 m / 540 px
        complain("bar is 14.9 cm wide, the gripper opens 8.0 cm", {"bar": wide}, 1000)
        assert poses == []
        instances = arrays, instances_message(seen, frame_at(1000))
        publish_until(lambda: bool(poses), "a pose after all that", depth(flat, 1000), info, instances)


def test_planner_names_the_depth_that_is_published_in_the_other_transport(
    probe: Probe, tmp_path: Path
) -> None:
    probe.node.create_publisher(CompressedImage, "/camera/depth/compressedDepth", 5)
    with running_planner(tmp_path, "raw") as planner:
        arrays = probe.publisher(InstanceMaskArray, "/seg_node/instances")
        instances = arrays, instances_message({"bar": bar_crop(30)}, frame_at(1000))
        cure = "/camera/depth (0 publishers); /camera/depth/compressedDepth is published: set depth_transport"
        publish_until(lambda: f"{cure} to compressedDepth" in planner.log, cure, instances)


def test_planner_refuses_a_depth_transport_that_it_does_not_know(tmp_path: Path) -> None:
    planner = Planner(tmp_path, "compressed")
    try:
        assert planner.process.wait(30) == 1
    finally:
        planner.process.kill()
    assert planner.log == (
        "grasp_planner: depth_transport is 'compressed', but must be raw or compressedDepth\n"
    )


def run_segment_client(path: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "examples/segment_client.py"), str(path)]
    remap = ["--ros-args", "-r", f"segment:={NODE}/segment"]
    return subprocess.run([*command, *remap], capture_output=True, text=True, timeout=60)


def test_segment_client_prints_the_objects_that_the_node_finds_in_a_picture(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), picture())
    with running_node(tmp_path, weights):
        request = Segment.Request(image=image_message(picture(), 0))
        found = probe.call(Segment, f"{NODE}/segment", request)[0].instances.instances
        assert len(found) > 1
        done = run_segment_client(path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            f"{one.id} {one.class_name} {one.score:.2f}: {one.area} px, "
            f"mask at ({one.roi.x_offset}, {one.roi.y_offset})"
            for one in found
        ]
        probe.set_parameter("max_pixels", 100)
        refused = run_segment_client(path)
        assert refused.returncode == 1 and refused.stdout == ""
        assert refused.stderr.startswith("segment_client: ") and "max_pixels" in refused.stderr


def test_segment_client_names_a_file_that_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    done = run_segment_client(path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"segment_client: {path} is not a picture that OpenCV can read"


@pytest.fixture(scope="module")
def describe(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Any], list[str]]:
    """Function: topic and message → the lines that examples/cpp_consumer prints of it."""
    build = tmp_path_factory.mktemp("cpp_consumer")
    for command in (["-S", str(ROOT / "test/cpp/cpp_consumer"), "-B", str(build)], ["--build", str(build)]):
        done = subprocess.run(["cmake", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(topic: str, message: Any) -> list[str]:
        file = build / "message.cdr"
        file.write_bytes(serialize_message(message))
        done = subprocess.run([build / "describe_lines", topic, file], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@needs_compiler
@pytest.mark.parametrize("encoding", ["mono8", "bits", "rle"])
def test_cpp_consumer_prints_area_and_grasp_centre(describe: Any, encoding: str) -> None:
    masks = {"spoon": MaskCrop(20, 10, np.ones((13, 41), bool)), "bar": MaskCrop.empty()}
    assert describe("instances", instances_message(masks, frame_at(12_345), encoding)) == [
        f"instances of {FRAME_ID} at 12.345000000: 2",
        # 13 rows of 41 pixels; row 16 is the seventh from both edges, column 40 the middle one
        "  1 spoon 0.90: area 533 px, grasp centre (40, 16), 7.0 px from the edge",
        "  2 bar 0.80: no visible pixel",
    ]
    assert describe("instances", instances_message({}, frame_at(1))) == [
        f"instances of {FRAME_ID} at 0.001000000: 0"
    ]


@needs_compiler
def test_cpp_grasp_centre_lies_deep_inside_a_ring_and_an_l(describe: Any) -> None:
    rows, columns = np.mgrid[:200, :300]
    radius = np.hypot(rows - 100, columns - 140)
    ring = (radius > 30) & (radius < 55)
    corner = np.zeros((200, 300), bool)
    corner[20:180, 40:70] = corner[150:180, 40:280] = True
    for shape in (ring, corner):
        line = describe("instances", instances_message({"bar": tight_crop(shape)}, frame_at(1)))[1]
        place, distance = line.split("grasp centre (")[1].split("), ")
        column, row = map(int, place.split(", "))
        exact = cv2.distanceTransform(np.pad(shape, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[
            1:, 1:
        ]
        assert exact[row, column] > 0.7 * exact.max()
        assert float(distance.split()[0]) == pytest.approx(exact[row, column], rel=0.07)


@needs_compiler
def test_cpp_consumer_tells_a_damaged_message(describe: Any) -> None:
    message = instances_message({"bar": MaskCrop(20, 10, np.ones((3, 4), bool))}, frame_at(1))
    message.instances[0].data.pop()
    assert describe("instances", message) == [
        "left out: mono8 mask of roi 4x3 at (20, 10) has 11 bytes, not 12; was the message cut off?"
    ]


@needs_compiler
def test_cpp_consumer_prints_objects_in_space(describe: Any) -> None:
    cup = Object3D(id=4, class_name="cup", score=0.5, num_points=812, size=Vector3(x=0.1, y=0.08, z=0.0716))
    cup.pose = Pose(position=Point(x=0.15, y=-0.0104, z=0.85))
    lost = Object3D(id=5, class_name="bowl", score=0.25)
    header = Header(frame_id="base_link")
    assert describe("objects", Object3DArray(header=header, objects=[cup, lost])) == [
        "objects in base_link at 0.000000000: 2",
        "  4 cup 0.50: centre (0.150, -0.010, 0.850) m, size 0.100 x 0.080 x 0.072 m, 812 points",
        "  5 bowl 0.25: not located, too little depth",
    ]
