# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Build standard vision_msgs, if that package is installed; the node runs without it."""

from collections.abc import Sequence

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from seg_node.masks.label_images import UNLABELLED
from seg_node.ros.messages.convert import to_header
from seg_node.ros.messages.geometry import to_pose, to_size
from seg_node.spatial.lift import Object3D
from seg_node.types import Frame, LabelSet, Segmentation

try:
    from vision_msgs.msg import (
        BoundingBox2D,
        BoundingBox3D,
        Detection2D,
        Detection2DArray,
        Detection3D,
        Detection3DArray,
        LabelInfo,
        ObjectHypothesis,
        ObjectHypothesisWithPose,
        Point2D,
        Pose2D,
        VisionClass,
    )
except ImportError:
    _INSTALLED = False
else:
    _INSTALLED = True

MISSING = (
    "vision_msgs is not installed, so ~/detections, ~/detections_3d and ~/label_info are not published "
    "(apt install ros-$ROS_DISTRO-vision-msgs)"
)


def installed() -> bool:
    """Return whether vision_msgs (4.0 or later) is installed; without it, call nothing else here."""
    return _INSTALLED


def detections_2d(frame: Frame, segmentation: Segmentation, labels: LabelSet) -> "Detection2DArray":
    """Build one detection per instance, best first; the array and each detection have the image's header.

    The box is InstanceMask's, in pixels: centre ± half the size are its edges, theta is 0. class_id is the
    class's name, because vision_msgs requires text; id is the instance's id as text.
    """
    header = to_header(frame)
    found = segmentation.instances
    columns = zip(
        found.ids.tolist(),
        found.class_ids.tolist(),
        found.scores.tolist(),
        found.boxes_xyxy.tolist(),
        strict=True,
    )
    return Detection2DArray(
        header=header,
        detections=[
            Detection2D(
                header=header,
                id=str(instance_id),
                bbox=_to_box_2d(*box_xyxy),
                results=[ObjectHypothesisWithPose(hypothesis=_to_hypothesis(labels.name(class_id), score))],
            )
            for instance_id, class_id, score, box_xyxy in columns
        ],
    )


def detections_3d(frame: Frame, objects: Sequence[Object3D], labels: LabelSet) -> "Detection3DArray":
    """Build one detection per located object, in metres, with the same ids as `detections_2d`.

    The hypothesis's pose is that of the box; its covariance is unknown and stays 0.
    """
    header = to_header(frame)
    return Detection3DArray(
        header=header,
        detections=[_to_detection_3d(header, found, labels) for found in objects if found.num_points],
    )


def label_info(labels: LabelSet, score_threshold: float, stamp: Time) -> "LabelInfo":
    """List the names of `~/class_map`'s values by ascending class id, for a transient_local topic.

    255, unlabelled, is omitted, and so are classes above 254, which class_map cannot represent: Nav2's layer
    would read them modulo 256.
    """
    class_ids = sorted(labels.things.keys() | labels.stuff.keys())
    return LabelInfo(
        header=Header(stamp=stamp),
        class_map=[
            VisionClass(class_id=class_id, class_name=labels.name(class_id))
            for class_id in class_ids
            if class_id < UNLABELLED
        ],
        threshold=score_threshold,
    )


def _to_box_2d(x_min: float, y_min: float, x_max: float, y_max: float) -> "BoundingBox2D":
    centre = Point2D(x=(x_min + x_max) / 2, y=(y_min + y_max) / 2)
    return BoundingBox2D(center=Pose2D(position=centre), size_x=x_max - x_min, size_y=y_max - y_min)


def _to_hypothesis(class_name: str, score: float) -> "ObjectHypothesis":
    return ObjectHypothesis(class_id=class_name, score=score)


def _to_detection_3d(header: Header, found: Object3D, labels: LabelSet) -> "Detection3D":
    pose = to_pose(found)
    result = ObjectHypothesisWithPose(hypothesis=_to_hypothesis(labels.name(found.class_id), found.score))
    result.pose.pose = pose
    return Detection3D(
        header=header,
        id=str(found.id),
        bbox=BoundingBox3D(center=pose, size=to_size(found)),
        results=[result],
    )
