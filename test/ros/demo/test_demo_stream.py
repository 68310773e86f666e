# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's own stream: its topics, and that colour, depth, calibration, masks and poses agree."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rosbags", reason="rosbags is not installed")

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from seg_node.evaluation.ground_truth import PanopticTruth, read_panoptic_truth, read_segment_map
from seg_node.sources.bags.frames import describe_bag

BAG = Path(__file__).resolve().parents[3] / "demo/tabletop"
FRAME_ID = "camera_color_optical_frame"
COLOUR, DEPTH = "/camera/color", "/camera/aligned_depth_to_color"
PERIOD_NS = 80_000_000
FRAMES = (0, 37, 112)


@pytest.fixture(scope="module")
def messages() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    with AnyReader([BAG], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        for connection, _, raw in reader.messages():
            found.setdefault(connection.topic, []).append(reader.deserialize(raw, connection.msgtype))
    return found


@pytest.fixture(scope="module")
def truth() -> PanopticTruth:
    return read_panoptic_truth(BAG / "truth/panoptic.json", BAG / "truth/panoptic")


def stamp_ns(message: Any) -> int:
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def test_every_frame_has_colour_depth_and_calibration_with_one_stamp(messages: dict[str, list[Any]]) -> None:
    topics = [f"{COLOUR}/image_raw/compressed", f"{DEPTH}/image_raw/compressedDepth"]
    topics += [f"{COLOUR}/camera_info", f"{DEPTH}/camera_info"]
    assert set(messages) == {*topics, "/tf"}
    first = stamp_ns(messages[topics[0]][0])
    for topic in topics:
        assert [stamp_ns(m) for m in messages[topic]] == [first + i * PERIOD_NS for i in range(150)]
        assert {m.header.frame_id for m in messages[topic]} == {FRAME_ID}


def test_the_player_selects_the_colour_stream_at_its_recorded_rate() -> None:
    bag = describe_bag(BAG)
    assert (bag.topic, bag.count) == (f"{COLOUR}/image_raw/compressed", 150)
    assert bag.fps == pytest.approx(12.5, rel=0.01)


def test_instances_and_panoptic_maps_show_the_same_things(truth: PanopticTruth) -> None:
    instances = json.loads((BAG / "truth/annotations.json").read_text())["annotations"]
    areas = {annotation["id"]: annotation["area"] for annotation in instances}
    expected = {
        image_id * 10000 + segment.id: segment.area
        for image_id, segments in truth.segments.items()
        for segment in segments
        if segment.category_id in truth.things
    }
    assert len(truth.images) == 150
    assert areas == expected
    for frame in FRAMES:
        ids, counts = np.unique(read_segment_map(truth.maps[frame]), return_counts=True)
        found = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        assert found == {segment.id: segment.area for segment in truth.segments[frame]}


@pytest.mark.parametrize("frame", FRAMES)
def test_the_measured_points_of_each_thing_lie_in_its_box(
    frame: int, messages: dict[str, list[Any]], truth: PanopticTruth
) -> None:
    k: NDArray[np.float64] = messages[f"{COLOUR}/camera_info"][frame].k.reshape(3, 3)
    png = messages[f"{DEPTH}/image_raw/compressedDepth"][frame].data[12:]
    depth_m = np.asarray(cv2.imdecode(np.array(png), cv2.IMREAD_UNCHANGED), np.float64) / 1000
    ids = read_segment_map(truth.maps[frame])
    poses = json.loads((BAG / "truth/poses.json").read_text())["frames"][frame]
    assert len(poses["objects"]) == 13
    for thing in poses["objects"]:
        rows, columns = np.nonzero(ids == thing["segment_id"])
        z = depth_m[rows, columns]
        points = np.stack([(columns - k[0, 2]) * z / k[0, 0], (rows - k[1, 2]) * z / k[1, 1], z], axis=1)
        own = (points - thing["centre"]) @ rotation(thing["orientation"])
        outside = np.abs(own) - np.array(thing["size"]) / 2
        assert np.percentile(outside.max(axis=1), 99) < 0.001, thing["kind"]


def rotation(xyzw: list[float]) -> NDArray[np.float64]:
    x, y, z, w = xyzw
    axis: NDArray[np.float64] = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: NDArray[np.float64] = np.eye(3) + 2 * w * axis + 2 * axis @ axis
    return turned
