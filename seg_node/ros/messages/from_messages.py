# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Convert the node's result messages to seg_node's types and arrays, for subscribers."""

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2

from seg_node.images.buffer import MAX_PIXELS
from seg_node.masks.encoding import decode_crop
from seg_node.msg import InstanceMaskArray
from seg_node.types import Instances, LabelSet, Segmentation

# Image and all objects, at a byte per pixel: a few bytes of rle can declare any size.
MOST_PIXELS = 4 * MAX_PIXELS


def read_instances(message: InstanceMaskArray) -> tuple[Segmentation, LabelSet]:
    """Read the objects and the names of their classes.

    Raises ValueError for masks that do not fit the image, or for more pixels than MOST_PIXELS.
    """
    size = (message.height, message.width)
    found = message.instances
    pixels = message.height * message.width + sum(i.roi.height * i.roi.width for i in found)
    if pixels > MOST_PIXELS:
        raise ValueError(
            f"result of {message.width}x{message.height} with {len(found)} objects has {pixels} pixels, over "
            f"{MOST_PIXELS}; check who publishes it"
        )
    instances = Instances(
        np.array([[i.x_min, i.y_min, i.x_max, i.y_max] for i in found], np.float32).reshape(-1, 4),
        np.array([i.score for i in found], np.float32),
        np.array([i.class_id for i in found], np.int32),
        tuple(decode_crop(i, *size) for i in found),
        np.array([i.id for i in found], np.uint32),
    )
    return Segmentation(size, instances), LabelSet({i.class_id: i.class_name for i in found})


def read_cloud(message: PointCloud2) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Read points (N, 3) and colours (N, 3), red first; None if the cloud has no field rgb."""
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
