# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Convert objects in space to messages."""

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from seg_node.msg import Object3D as Object3DMessage
from seg_node.msg import Object3DArray
from seg_node.ros.messages.convert import fill_data, to_header
from seg_node.ros.messages.geometry import to_pose, to_size
from seg_node.spatial.lift import Object3D
from seg_node.types import Frame, LabelSet

# PCL's and RViz's XYZRGB: the colour is 0x00RRGGBB in the bits of a float.
_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4"), ("instance_id", "<u4")])
_FIELDS = [
    PointField(name="x", offset=0, datatype=PointField.FLOAT32, count=1),
    PointField(name="y", offset=4, datatype=PointField.FLOAT32, count=1),
    PointField(name="z", offset=8, datatype=PointField.FLOAT32, count=1),
    PointField(name="rgb", offset=12, datatype=PointField.FLOAT32, count=1),
    PointField(name="instance_id", offset=16, datatype=PointField.UINT32, count=1),
]


def to_objects(frame: Frame, objects: Sequence[Object3D], labels: LabelSet) -> Object3DArray:
    """Convert all objects, also those not located (num_points 0), with the frame's stamp and frame_id."""
    messages = []
    for found in objects:
        x, y, z = found.centroid.tolist()
        message = Object3DMessage(
            id=found.id,
            class_id=found.class_id,
            class_name=labels.name(found.class_id),
            score=found.score,
            centroid=Point(x=x, y=y, z=z),
            pose=to_pose(found),
            size=to_size(found),
            num_points=found.num_points,
            valid_ratio=found.valid_ratio,
        )
        messages.append(message)
    return Object3DArray(header=to_header(frame), objects=messages)


def to_cloud(frame: Frame, objects: Sequence[Object3D]) -> PointCloud2:
    """Build a cloud of the objects' points, coloured from the image: unordered, instance_id from 1, no NaN.

    frame: the segmented image; its stamp and frame_id are the cloud's.
    """
    cloud = np.empty(sum(len(found.points) for found in objects), _POINT)
    start = 0
    for found in objects:
        part = cloud[start : start + len(found.points)]
        part["x"], part["y"], part["z"] = found.points.T
        part["rgb"] = _colours(frame, found.pixels)
        part["instance_id"] = found.id
        start += len(part)
    message = PointCloud2(
        header=to_header(frame),
        height=1,
        width=len(cloud),
        fields=_FIELDS,
        is_bigendian=False,
        point_step=_POINT.itemsize,
        row_step=cloud.nbytes,
        is_dense=True,
    )
    fill_data(message.data, cloud)
    return message


def _colours(frame: Frame, pixels: NDArray[np.int32]) -> NDArray[np.uint32]:
    """Look up 0x00RRGGBB of the pixels (N, 2), column and row."""
    values = frame.pixels[pixels[:, 1], pixels[:, 0]].astype(np.uint32)
    if frame.channels == "mono":
        return values * np.uint32(0x010101)
    red, green, blue = (values[:, frame.channels.index(channel)] for channel in "rgb")
    colours: NDArray[np.uint32] = red << np.uint32(16) | green << np.uint32(8) | blue
    return colours
