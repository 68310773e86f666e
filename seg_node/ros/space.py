"""A camera's objects in metres, from depth image and calibration; in its own frame or in `target_frame`."""

from dataclasses import dataclass, replace

from sensor_msgs.msg import CameraInfo

from seg_node.depth_image import decode_depth
from seg_node.images import ImageError
from seg_node.lift import LiftOptions, Object3D, lift_instances
from seg_node.ros.camera_info import CameraInfoError, to_pinhole
from seg_node.ros.inputs import AnyImage
from seg_node.ros.target_frame import TargetFrame, TransformError
from seg_node.types import Frame, Instances

TF_WAIT_S = 0.05  # a robot's transforms come a little after its images


class NotLocated(ValueError):
    """No objects in metres for this image. `reason` is the token counted in /diagnostics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Space:
    """objects: one for each instance, in its order. frame: the image, with the frame_id of the objects."""

    objects: tuple[Object3D, ...]
    frame: Frame
    in_camera: bool


def locate(
    frame: Frame,
    instances: Instances,
    depth: AnyImage | None,
    calibration: CameraInfo | None,
    options: LiftOptions,
    target: TargetFrame | None,
) -> Space:
    """Raises NotLocated."""
    if depth is None:
        raise NotLocated(
            "no_depth",
            "an image has no depth image within depth.slop of its stamp: check the depth topic, and that its "
            "stamps are the image's",
        )
    if calibration is None:
        raise NotLocated("no_camera_info", "no CameraInfo has come: check the camera_info topic")
    try:
        pinhole = to_pinhole(calibration, frame.image_size)
        objects = lift_instances(instances, decode_depth(depth), pinhole, options)
    except (ImageError, CameraInfoError) as error:
        raise NotLocated(error.reason, str(error)) from error
    except ValueError as error:
        raise NotLocated("depth_size", str(error)) from error
    if target is None:
        return Space(objects, frame, in_camera=True)
    try:
        transform = target.from_camera(frame.frame_id, frame.stamp_ns, TF_WAIT_S)
    except ValueError as error:  # TransformError, or a rotation that is none
        raise NotLocated(TransformError.reason, str(error)) from error
    return Space(transform.move(objects), replace(frame, frame_id=target.frame_id), in_camera=False)
