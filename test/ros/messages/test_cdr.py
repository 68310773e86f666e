# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes that we write ourselves are those that rclpy makes of the messages.

All but those between two fields: there Fast CDR leaves what was in its memory.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message

from seg_node.msg import InstanceMaskArray, PanopticSegmentation
from seg_node.ros.messages.cdr import serialize_instances, serialize_panoptic
from seg_node.ros.messages.convert import to_instances, to_panoptic
from seg_node.types import (
    Frame,
    Instances,
    LabelSet,
    MaskCrop,
    MaskEncoding,
    PanopticSegments,
    Roi,
    Segment,
    Segmentation,
)

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
STAMPS = st.integers(0, 2**31 * 10**9 - 1)
SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


def random_segmentation(count: int, size: tuple[int, int], seed: int) -> Segmentation:
    rng = np.random.default_rng(seed)
    height, width = size
    crops = []
    for _ in range(count):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        rows, columns = int(rng.integers(1, height - y + 1)), int(rng.integers(1, width - x + 1))
        pixels = rng.random((rows, columns)) < 0.5
        pixels[rng.integers(rows), rng.integers(columns)] = True
        crops.append(MaskCrop(x, y, pixels) if rng.random() < 0.9 else MaskCrop.empty())
    segments = tuple(
        Segment(
            id=number + 1,
            class_id=int(rng.integers(-1, 4)),
            is_thing=bool(rng.integers(2)),
            score=float(np.float32(rng.random())),
            area=int(rng.integers(2**32)),
            roi=Roi(*(int(value) for value in rng.integers(0, 2**32, 4))),
            instance_id=int(rng.integers(2**32)),
        )
        for number in range(count)
    )
    return Segmentation(
        size,
        Instances(
            boxes_xyxy=rng.normal(0, 100, (count, 4)).astype(np.float32),
            scores=rng.random(count).astype(np.float32),
            class_ids=rng.integers(-1, 4, count).astype(np.int32),
            masks=tuple(crops),
            ids=rng.integers(0, 2**32, count).astype(np.uint32),
        ),
        PanopticSegments(rng.integers(0, 2**16, size).astype(np.uint16), segments),
    )


@settings(deadline=None)
@given(
    st.integers(0, 5),
    SIZES,
    st.integers(0, 2**32),
    STAMPS,
    NAMES,
    NAMES,
    st.sampled_from(("mono8", "bits", "rle")),
)
def test_both_messages_are_read_as_those_that_rclpy_sends(
    count: int,
    size: tuple[int, int],
    seed: int,
    stamp_ns: int,
    frame_id: str,
    name: str,
    encoding: MaskEncoding,
) -> None:
    found = random_segmentation(count, size, seed)
    frame = Frame(np.zeros((*size, 3), np.uint8), "bgr", stamp_ns, frame_id)
    labels = LabelSet({0: name, 1: "cup"}, {2: "floor"})

    instances = serialize_instances(frame, found, labels, encoding)
    message = to_instances(frame, found, labels, encoding)
    assert len(instances) == len(serialize_message(message))
    assert deserialize_message(instances, InstanceMaskArray) == message

    panoptic = serialize_panoptic(frame, found, labels)
    message = to_panoptic(frame, found, labels)
    assert len(panoptic) == len(serialize_message(message))
    assert deserialize_message(panoptic, PanopticSegmentation) == message
