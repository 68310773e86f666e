# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A node that publishes a parallel gripper's grasp of the best instance of a class, seen from above.

    python examples/grasp_planner.py --ros-args -p class_name:=cup -r instances:=/seg_node/instances \
        -r depth:=/camera/aligned_depth_to_color/image_raw -r camera_info:=/camera/color/camera_info

~/grasp_pose (PoseStamped) lies between the contacts, with the image's stamp and frame. The gripper closes
along its y axis and approaches along its z axis: the camera's viewing direction, perpendicular to y.
~/grasp_marker (Marker) draws it. See docs/examples.md.
"""

import sys
from collections import deque
from contextlib import suppress

import rclpy
from antipodal import Grasp, plan_grasp
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Vector3
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from seg_node.images.depth import DepthImage, decode_depth
from seg_node.masks import decode_crop
from seg_node.msg import InstanceMask, InstanceMaskArray
from seg_node.ros.messages.camera_info import to_pinhole
from seg_node.ros.messages.convert import stamp_to_ns

MAX_APART_NS = 10_000_000  # largest difference between the stamps of depth and instances
TRANSPORTS = {"raw": (Image, ""), "compressedDepth": (CompressedImage, "/compressedDepth")}
FINGER_M = 0.05  # length in the marker


class GraspPlanner(Node):
    def __init__(self) -> None:
        super().__init__("grasp_planner")
        self.declare_parameter("class_name", "")  # empty: any class
        self.declare_parameter("max_width", 0.08)  # opening of the gripper in metres
        transport = self.declare_parameter("depth_transport", "raw").value
        if transport not in TRANSPORTS:
            known = " or ".join(TRANSPORTS)
            raise ValueError(f"depth_transport is {transport!r}, but must be {known}")
        # The instances of an image arrive when the model is done, long after its depth.
        self._depths: deque[Image | CompressedImage] = deque(maxlen=30)
        self._camera_info: CameraInfo | None = None
        # -r depth:=… applies to the compressed topic too, as in image_transport.
        topic = self.resolve_topic_name("depth")
        self._depth_topics = {name: topic + below for name, (_, below) in TRANSPORTS.items()}
        self._depth_topic = self._depth_topics.pop(transport)
        kind = TRANSPORTS[transport][0]
        self.create_subscription(kind, self._depth_topic, self._on_depth, qos_profile_sensor_data)
        self.create_subscription(CameraInfo, "camera_info", self._on_camera_info, qos_profile_sensor_data)
        self.create_subscription(InstanceMaskArray, "instances", self._on_instances, 5)
        self._poses = self.create_publisher(PoseStamped, "~/grasp_pose", 5)
        self._markers = self.create_publisher(Marker, "~/grasp_marker", 5)

    def _on_depth(self, message: Image | CompressedImage) -> None:
        self._depths.append(message)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _on_instances(self, array: InstanceMaskArray) -> None:
        try:
            grasp = self._plan(array, self._choose(array))
        except ValueError as error:
            self.get_logger().warning(f"no grasp: {error}", throttle_duration_sec=1.0)
            return
        pose = to_pose(grasp)
        self._poses.publish(PoseStamped(header=array.header, pose=pose))
        self._markers.publish(to_marker(array.header, pose, grasp.width_m))

    def _choose(self, array: InstanceMaskArray) -> InstanceMask:
        """Return the best-scored instance of the class; the array is sorted."""
        name = self.get_parameter("class_name").value
        for instance in array.instances:
            if name in ("", instance.class_name):
                return instance
        seen = ", ".join(sorted({instance.class_name for instance in array.instances})) or "nothing"
        raise ValueError(f"no {name or 'object'} in sight, only {seen}")

    def _plan(self, array: InstanceMaskArray, instance: InstanceMask) -> Grasp:
        depth = self._depth_of(array)
        if self._camera_info is None:
            raise ValueError("no CameraInfo yet; remap `camera_info` to the camera's topic")
        pinhole = to_pinhole(self._camera_info, depth.image_size)
        try:
            grasp = plan_grasp(decode_crop(instance, array.height, array.width), depth, pinhole)
        except ValueError as error:
            raise ValueError(f"{instance.class_name}: {error}") from error
        if grasp.width_m > (limit := self.get_parameter("max_width").value):
            text = f"{instance.class_name} is {100 * grasp.width_m:.1f} cm wide"
            raise ValueError(f"{text}, the gripper opens {100 * limit:.1f} cm (max_width)")
        return grasp

    def _depth_of(self, array: InstanceMaskArray) -> DepthImage:
        stamp_ns = stamp_to_ns(array.header.stamp)
        apart_ns = {abs(stamp_to_ns(depth.header.stamp) - stamp_ns): depth for depth in self._depths}
        if not apart_ns or min(apart_ns) > MAX_APART_NS:
            raise ValueError(f"no depth image with the instances' stamp on {self._describe_depth_topic()}")
        depth = decode_depth(apart_ns[min(apart_ns)])
        if depth.image_size != (array.height, array.width):
            (rows, columns), image = depth.image_size, f"{array.width}x{array.height}"
            raise ValueError(f"depth is {columns}x{rows}, the image {image}; align depth to the image")
        return depth

    def _describe_depth_topic(self) -> str:
        count = self.count_publishers(self._depth_topic)
        text = f"{self._depth_topic} ({count} publisher{'' if count == 1 else 's'})"
        if count:
            return f"{text}; its stamps must match the image's to {MAX_APART_NS // 1_000_000} ms"
        for transport, topic in self._depth_topics.items():
            if self.count_publishers(topic):
                return f"{text}; {topic} is published: set depth_transport to {transport}"
        return f"{text}; remap `depth` to the camera's depth image"


def to_pose(grasp: Grasp) -> Pose:
    x, y, z, w = grasp.rotation.as_quat().tolist()
    return Pose(position=to_point(*grasp.position.tolist()), orientation=Quaternion(x=x, y=y, z=z, w=w))


def to_marker(header: Header, pose: Pose, width_m: float) -> Marker:
    """Two fingers, the bar between them and the wrist, as lines in the gripper's frame."""
    half, back = width_m / 2, -FINGER_M
    ends = [(-half, 0.0), (-half, back), (half, 0.0), (half, back), (-half, back), (half, back)]
    return Marker(
        header=header,
        type=Marker.LINE_LIST,
        pose=pose,
        scale=Vector3(x=0.005),
        color=ColorRGBA(g=1.0, a=1.0),
        points=[to_point(0.0, y, z) for y, z in [*ends, (0.0, back), (0.0, 2 * back)]],
        lifetime=Duration(sec=2),
    )


def to_point(x: float, y: float, z: float) -> Point:
    return Point(x=x, y=y, z=z)


def main() -> None:
    rclpy.init()
    try:
        planner = GraspPlanner()
    except ValueError as error:
        sys.exit(f"grasp_planner: {error}")
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(planner)
    planner.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
