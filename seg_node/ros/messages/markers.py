# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Build boxes and names of the objects for RViz."""

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, Vector3
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from seg_node.drawing.palette import object_colour
from seg_node.ros.messages.convert import to_header
from seg_node.ros.messages.geometry import to_pose, to_size
from seg_node.spatial.lift import Object3D
from seg_node.types import Frame, LabelSet

BOX_OPACITY = 0.4
LIFETIME = Duration(sec=5)  # longer than a frame of a big model on a CPU; markers of a dead node vanish
MIN_SIDE_M = 0.001  # RViz warns of boxes without thickness
NAME_HEIGHT_M = (0.02, 0.15)  # readable at arm's length and across a room
OPTICAL_UP = np.array([0.0, -1.0, 0.0])
Z_UP = np.array([0.0, 0.0, 1.0])


def to_markers(
    frame: Frame, objects: Sequence[Object3D], labels: LabelSet, *, z_up: bool = False
) -> MarkerArray:
    """Build a box and a name ("cup 0.93 #4") for each located object, coloured as in the debug image.

    The first marker deletes those of earlier frames, so an empty scene is one marker. ns is "boxes" or
    "names", id the object's.

    z_up: up is +z, as in a robot's frame; otherwise -y, as in an optical frame. Names stand above the boxes.
    """
    header = to_header(frame)
    up = Z_UP if z_up else OPTICAL_UP
    markers = [Marker(header=header, action=Marker.DELETEALL)]  # an empty ns deletes all namespaces
    for found in objects:
        if found.num_points:
            markers += [_to_box(header, found), _to_name(header, found, labels, up)]
    return MarkerArray(markers=markers)


def _to_box(header: Header, found: Object3D) -> Marker:
    size = to_size(found)
    return Marker(
        header=header,
        ns="boxes",
        id=found.id,
        type=Marker.CUBE,
        pose=to_pose(found),
        scale=Vector3(x=max(size.x, MIN_SIDE_M), y=max(size.y, MIN_SIDE_M), z=max(size.z, MIN_SIDE_M)),
        color=_to_colour(found, BOX_OPACITY),
        lifetime=LIFETIME,
    )


def _to_name(header: Header, found: Object3D, labels: LabelSet, up: NDArray[np.float64]) -> Marker:
    smallest, largest = NAME_HEIGHT_M
    height = min(max(0.3 * float(found.size.max()), smallest), largest)
    half_extent = abs(up @ found.axes) @ found.size / 2
    x, y, z = (found.centre + up * (half_extent + height)).tolist()
    return Marker(
        header=header,
        ns="names",
        id=found.id,
        type=Marker.TEXT_VIEW_FACING,
        pose=Pose(position=Point(x=x, y=y, z=z)),
        scale=Vector3(z=height),
        color=_to_colour(found, 1.0),
        lifetime=LIFETIME,
        text=f"{labels.name(found.class_id)} {found.score:.2f} #{found.id}",
    )


def _to_colour(found: Object3D, opacity: float) -> ColorRGBA:
    blue, green, red = object_colour(found.id)
    return ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=opacity)
