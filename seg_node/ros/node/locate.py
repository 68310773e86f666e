# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A camera's objects in metres, from depth image and calibration: in its own frame, then moved to another."""

from dataclasses import dataclass, replace

from sensor_msgs.msg import CameraInfo

from seg_node.errors import Refused
from seg_node.images.decode import MAX_PIXELS
from seg_node.images.depth import decode_depth
from seg_node.ros.messages.camera_info import Warn, to_pinhole
from seg_node.ros.node.inputs import AnyImage
from seg_node.spatial.lift import LiftOptions, Object3D, lift_instances
from seg_node.spatial.transform import RigidTransform
from seg_node.types import Frame, Instances, LabelSet


class NotLocated(Refused, ValueError):
    """No objects in metres for this image."""

    @staticmethod
    def unforeseen(error: Exception) -> "NotLocated":
        """Return the error that wraps a fault of seg_node, to be raised from it."""
        return NotLocated(
            "locate_failed", f"objects are not located, masks are: {type(error).__name__}: {error}"
        )

    @property
    def unforeseen_cause(self) -> BaseException | None:
        """The fault of seg_node that caused it, if any."""
        return self.__cause__ if self.reason == "locate_failed" else None


@dataclass(frozen=True)
class Space:
    """A frame's objects in metres.

    objects: one for each instance, in its order. frame: the image, with the frame_id of the objects; its
    pixels are kept only where the objects have points, which are coloured from them. labels: see
    `Segmentation`.
    """

    objects: tuple[Object3D, ...]
    frame: Frame
    in_camera: bool
    labels: LabelSet | None = None

    def moved(self, transform: RigidTransform, frame_id: str) -> "Space":
        """Return the objects in the frame of that name."""
        frame = replace(self.frame, frame_id=frame_id)
        return replace(self, objects=transform.move(self.objects), frame=frame, in_camera=False)


def locate(
    frame: Frame,
    instances: Instances,
    depth: AnyImage | None,
    calibration: CameraInfo | None,
    options: LiftOptions,
    warn: Warn,
    max_pixels: int = MAX_PIXELS,
    unit_m: float = 0.0,
) -> Space:
    """Locate the objects in the camera's own frame.

    max_pixels, unit_m: of the depth image, see `decode_depth`.
    warn: called with a reason and a text for what is wrong with the calibration but was corrected.
    Raises NotLocated and nothing else: whatever is wrong with depth or calibration, the masks go out.
    """
    if depth is None:
        raise NotLocated(
            "no_depth",
            "an image has no depth image within depth.slop of its stamp: check the depth topic, and that its "
            "stamps are the image's",
        )
    if calibration is None:
        raise NotLocated("no_camera_info", "no CameraInfo has come: check the camera_info topic")
    try:
        pinhole = to_pinhole(calibration, frame.image_size, warn)
        depth_image = decode_depth(depth, max_pixels, unit_m)
        if depth_image.unit_is_doubtful:
            warn(
                "doubtful_depth_unit",
                f"half of the depth is beyond {depth_image.typical_m:.3g} m: set depth.unit if 1 stands for "
                "another length than a millimetre",
            )
        objects = lift_instances(instances, depth_image, pinhole, options)
    except Refused as error:
        raise NotLocated(error.reason, str(error)) from error
    except Exception as error:
        raise NotLocated.unforeseen(error) from error
    if not options.keep_points:
        frame = replace(frame, pixels=frame.pixels[:0, :0].copy())
    return Space(objects, frame, in_camera=True)
