"""`seg_node view`: a running node's images and results in a Rerun viewer, a browser or a recording.

All subscriptions are best effort: a slow viewer never holds up the node. A result is shown with the image
that has its stamp; of results that come faster than they can be shown, the newest.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from seg_node.images import decode_message
from seg_node.masks import decode_crop
from seg_node.msg import FrameTiming, InstanceMaskArray, Object3DArray
from seg_node.ros import memory
from seg_node.ros.camera_info import CameraInfoError, to_pinhole
from seg_node.ros.convert import stamp_to_ns
from seg_node.ros.interrupt import Interrupt
from seg_node.ros.topics import input_qos
from seg_node.types import Instances, LabelSet, Segmentation

if TYPE_CHECKING:
    from seg_node.view import View

DESCRIPTION = """Shows a running node's images with masks and boxes, its objects in space and the time of each
stage in a Rerun viewer: in a window, in a browser (--serve) or later, from a recording (--save). The node
works for it as for any other subscriber. Ctrl-C ends it."""
# Images wait for their results: some seconds of a camera, whatever its resolution.
KEPT_BYTES = 256 * 2**20
HEADLESS = "without a window: --serve (open its address in a browser) or --save FILE.rrd"
IMAGE_TYPES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}


class RecentImages:
    """The newest images by stamp, in at most `limit` bytes of pixels."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._bytes = 0
        self._images: dict[int, Image | CompressedImage] = {}

    def add(self, message: Image | CompressedImage) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._drop(stamp_ns)
        self._images[stamp_ns] = message
        self._bytes += len(message.data)
        while self._bytes > self._limit and len(self._images) > 1:
            self._drop(next(iter(self._images)))

    def take(self, stamp_ns: int) -> Image | CompressedImage | None:
        """The image of that stamp, None if there is none; those that came before it are no longer needed."""
        image = self._images.get(stamp_ns)
        if image is None:
            return None
        for earlier in list(self._images):
            self._drop(earlier)
            if earlier == stamp_ns:
                break
        return image

    def _drop(self, stamp_ns: int) -> None:
        image = self._images.pop(stamp_ns, None)
        self._bytes -= len(image.data) if image is not None else 0


class Viewer(Node):
    """Passes what one camera of a node publishes on to a `View`."""

    def __init__(self, view: "View", node_name: str, camera: str, image_topic: str | None) -> None:
        """node_name: fully qualified. camera: empty for the only one. image_topic: None asks the node."""
        super().__init__("viewer", start_parameter_services=False)
        self.shown = 0
        self.without_image = 0
        self._view = view
        self._node_name, self._camera, self._image_topic = node_name, camera, image_topic
        self._images = RecentImages()
        self._waiting: InstanceMaskArray | None = None
        self._camera_info: CameraInfo | None = None
        self._image_size = (0, 0)
        self._outputs = f"{node_name}/{camera}" if camera else node_name

    def find_node(self) -> str | None:
        """Subscribe, once the node is there; its image topic, None as long as it is not there or not active.

        Raises ValueError when there is no such camera or it cannot be told which its image topic is.
        """
        namespace, _, name = self._node_name.rpartition("/")
        try:
            inputs = dict(self.get_subscriber_names_and_types_by_node(name, namespace or "/"))
            outputs = dict(self.get_publisher_names_and_types_by_node(name, namespace or "/"))
        except NodeNameNonExistentError:
            return None
        arrays = [topic for topic, kinds in outputs.items() if "seg_node/msg/InstanceMaskArray" in kinds]
        if not arrays:
            return None
        if f"{self._outputs}/instances" not in arrays:
            raise ValueError(
                f"{self._outputs}/instances is not published; choose the camera by --camera: "
                f"{self._node_name} publishes {', '.join(sorted(arrays))}"
            )
        images = {topic: kinds[0] for topic, kinds in inputs.items() if kinds[0] in IMAGE_TYPES}
        topic = self._image_topic or choose_image_topic(images, self._camera)
        if topic is not None:
            self._subscribe(topic, images.get(topic, "sensor_msgs/msg/Image"))
        return topic

    def _subscribe(self, image_topic: str, image_type: str) -> None:
        """The image first: of messages that wait, the executor takes that of the first subscription first."""
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        base = image_topic.removesuffix("/compressed").rpartition("/")[0]
        for kind, topic, callback, qos in (
            (IMAGE_TYPES[image_type], image_topic, self._on_image, input_qos()),
            (CameraInfo, f"{base}/camera_info", self._on_camera_info, newest),
            (InstanceMaskArray, f"{self._outputs}/instances", self._on_instances, newest),
            (Object3DArray, f"{self._outputs}/objects", self._on_objects, newest),
            (PointCloud2, f"{self._outputs}/cloud", self._on_cloud, newest),
            (FrameTiming, f"{self._outputs}/timing", self._on_timing, input_qos()),
        ):
            self.create_subscription(kind, topic, callback, qos)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._images.add(message)
        if self._waiting is not None and self._waiting.header.stamp == message.header.stamp:
            self._show(self._waiting)

    def _on_instances(self, message: InstanceMaskArray) -> None:
        if self._waiting is not None:
            self.without_image += 1
        self._show(message)

    def _show(self, message: InstanceMaskArray) -> None:
        """Now, or when its image comes."""
        stamp_ns = stamp_to_ns(message.header.stamp)
        image = self._images.take(stamp_ns)
        self._waiting = message if image is None else None
        if image is None:
            return
        self._image_size = (message.height, message.width)
        self._view.log_image(decode_message(image))
        self._view.log_segmentation(stamp_ns, *read_instances(message))
        self.shown += 1

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _on_objects(self, message: Object3DArray) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._show_camera(stamp_ns, message.header.frame_id)
        found = [item for item in message.objects if item.num_points > 0]
        poses = [item.pose for item in found]
        self._view.log_objects(
            stamp_ns,
            [item.id for item in found],
            [f"{item.class_name} {item.id}" for item in found],
            np.array([[p.position.x, p.position.y, p.position.z] for p in poses]).reshape(-1, 3),
            np.array([[getattr(p.orientation, axis) for axis in "xyzw"] for p in poses]).reshape(-1, 4),
            np.array([[item.size.x, item.size.y, item.size.z] for item in found]).reshape(-1, 3),
        )

    def _show_camera(self, stamp_ns: int, frame_id: str) -> None:
        """The camera stands in the scene when the objects are in its own frame."""
        info = self._camera_info
        if info is None or info.header.frame_id != frame_id or not all(self._image_size):
            return
        try:
            self._view.log_pinhole(stamp_ns, to_pinhole(info, self._image_size))
        except CameraInfoError:
            return  # the node tells of it

    def _on_cloud(self, message: PointCloud2) -> None:
        self._view.log_cloud(stamp_to_ns(message.header.stamp), *read_cloud(message))

    def _on_timing(self, message: FrameTiming) -> None:
        names = [name for name in message.get_fields_and_field_types() if name.endswith("_ms")]
        milliseconds = {name.removesuffix("_ms"): getattr(message, name) for name in names}
        self._view.log_timing(stamp_to_ns(message.header.stamp), milliseconds)


def choose_image_topic(images: Mapping[str, str], camera: str) -> str | None:
    """Which of a node's subscriptions (topic → type) is the camera's image; None when there is none.

    Depth images are told by their topic's name. Raises ValueError when several are left.
    """
    own = [topic for topic in images if not camera or camera in topic.split("/")] or list(images)
    colour = [topic for topic in own if "depth" not in topic] or own
    if len(colour) > 1:
        raise ValueError(f"the node subscribes to {', '.join(sorted(colour))}: choose by --image TOPIC")
    return colour[0] if colour else None


def read_instances(message: InstanceMaskArray) -> tuple[Segmentation, LabelSet]:
    """The message's objects and the names of their classes."""
    size = (message.height, message.width)
    found = message.instances
    instances = Instances(
        np.array([[i.x_min, i.y_min, i.x_max, i.y_max] for i in found], np.float32).reshape(-1, 4),
        np.array([i.score for i in found], np.float32),
        np.array([i.class_id for i in found], np.int32),
        tuple(decode_crop(i, *size) for i in found),
        np.array([i.id for i in found], np.uint32),
    )
    return Segmentation(size, instances), LabelSet({i.class_id: i.class_name for i in found})


def read_cloud(message: PointCloud2) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Points (N, 3) and colours (N, 3), red first; None where the cloud has no field rgb."""
    offsets = {field.name: field.offset for field in message.fields}
    names = [name for name in ("x", "y", "z", "rgb") if name in offsets]
    order = ">" if message.is_bigendian else "<"
    record = np.dtype(
        {
            "names": names,
            "formats": [f"{order}u4" if name == "rgb" else f"{order}f4" for name in names],
            "offsets": [offsets[name] for name in names],
            "itemsize": message.point_step,
        }
    )
    records = np.frombuffer(message.data, record)
    points = np.stack([records[axis] for axis in "xyz"], axis=-1).astype(np.float32)
    if "rgb" not in offsets:
        return points, None
    return points, np.stack([records["rgb"] >> shift & 255 for shift in (16, 8, 0)], axis=-1).astype(np.uint8)


def main(argv: Sequence[str] | None = None) -> int:
    """Show until interrupted; 2 when no window can be opened. ROS arguments (--ros-args …) are taken as well.

    Raises ValueError, FileNotFoundError or RuntimeError for what the user can mend.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(remove_ros_args(["view", *arguments])[1:])
    from seg_node.view import NoViewer, View  # here, so that --help needs no Rerun

    view = View(options.camera)
    try:
        _open(view, options)
    except NoViewer as error:
        print(f"seg_node view: {error}\n{HEADLESS}", file=sys.stderr)
        return 2
    memory.keep_large_buffers()
    interrupt = Interrupt()
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    viewer = Viewer(view, "/" + options.node.strip("/"), options.camera, options.image)
    try:
        _show(viewer, options, interrupt)
    except KeyboardInterrupt:
        pass  # the usual end
    finally:
        viewer.destroy_node()
        rclpy.try_shutdown()
        view.close()
        print(f"shown: {viewer.shown} results; without their image: {viewer.without_image}", flush=True)
    return 0


def _open(view: "View", options: argparse.Namespace) -> None:
    if options.save:
        view.save(options.save)
        print(f"recording to {options.save} until Ctrl-C", flush=True)
    elif options.serve:
        address = view.serve(options.web_port, options.grpc_port)
        print(f"open {address}", flush=True)
    else:
        view.open_window()


def _show(viewer: Viewer, options: argparse.Namespace, interrupt: Interrupt) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(viewer)
    topic, told = None, False
    while options.frames is None or viewer.shown < options.frames:
        interrupt.check()
        executor.spin_once(timeout_sec=0.1 if topic else 0.5)
        if topic is None:
            topic = viewer.find_node()
            if topic is not None:
                print(f"showing /{options.node.strip('/')}, images from {topic}", flush=True)
            elif not told:
                told = True
                print(f"waiting for /{options.node.strip('/')} to be active", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="seg_node view", description=DESCRIPTION)
    add = parser.add_argument
    add("--node", default="/seg_node", metavar="NAME", help="the running node (default: %(default)s)")
    add("--camera", default="", metavar="NAME", help="which of the node's cameras, where it has several")
    add("--image", metavar="TOPIC", help="its image topic (default: the one that the node subscribes to)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--save", type=Path, metavar="FILE", help="no window: write a recording (.rrd)")
    where.add_argument("--serve", action="store_true", help="no window: serve the viewer to browsers")
    add("--web-port", type=int, default=9090, metavar="N", help="of --serve (default: %(default)s)")
    add("--grpc-port", type=int, default=9876, metavar="N", help="of --serve, data (default: %(default)s)")
    add("--frames", type=int, metavar="N", help="stop after N results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
