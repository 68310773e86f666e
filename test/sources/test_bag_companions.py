# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Companions of images, and the image each belongs to, in bags written here."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed")
from recorded_camera import (
    PERIOD_NS,
    START_NS,
    TFMessage,
    calibration,
    colour_at,
    depth_at,
    write_camera,
    write_messages,
)
from written_bags import STORE, compressed, depth, image, write_bag

from seg_node.sources.bags.companions import find_companions, read_with_companions


def names(bag: Path, **arguments: str) -> dict[str, str]:
    return {topic.role: topic.name for topic in find_companions(bag, **arguments)}


def test_calibration_depth_and_tf_are_found(tmp_path: Path) -> None:
    still, moving = (TFMessage([]) for _ in range(2))
    topics = {
        "/front/image_raw/compressed": [compressed(0)],
        "/front/camera_info": [calibration(0)],
        "/rear/camera_info": [calibration(0)],
        "/front/depth": [depth(0)],
        "/tf": [moving],
        "/tf_static": [still],
    }
    assert names(write_bag(tmp_path / "bag", topics)) == {
        "camera_info": "/front/camera_info",
        "depth": "/front/depth",
        "tf": "/tf",
        "tf_static": "/tf_static",
    }


@pytest.mark.parametrize(
    ("depths", "chosen"),
    [
        ({"/d": "other_frame"}, None),
        ({"/d": "other_frame", "/e": "optical_frame"}, "/e"),
        ({"/rear/d": "optical_frame", "/front/d": "optical_frame"}, "/front/d"),
    ],
)
def test_depth_has_the_frame_of_the_images(
    tmp_path: Path, depths: dict[str, str], chosen: str | None
) -> None:
    topics = {name: [depth_at(START_NS, 1000, frame_id)] for name, frame_id in depths.items()}
    bag = write_bag(tmp_path / "bag", {"/front/image": [image(0)], **topics})
    assert names(bag, topic="/front/image").get("depth") == chosen
    assert names(bag, topic="/front/image", depth_topic=next(iter(depths)))["depth"] == next(iter(depths))
    with pytest.raises(ValueError, match=r"no depth images on topic /no; images are on: .*/front/image"):
        find_companions(bag, depth_topic="/no")


def test_raw_depth_is_preferred_to_its_compressed_twin(tmp_path: Path) -> None:
    twin = compressed(0, "16UC1; compressedDepth png")
    topics = {"/f/image": [image(0)], "/f/depth/compressedDepth": [twin], "/f/depth": [depth(0)]}
    assert names(write_bag(tmp_path / "bag", topics)) == {"depth": "/f/depth"}


@pytest.mark.parametrize("stamped_ms", [-40, 0, 40])
@pytest.mark.parametrize("recorded_ms", [0, 30, 190])
def test_an_image_comes_with_the_messages_nearest_to_its_stamp(
    tmp_path: Path, stamped_ms: int, recorded_ms: int
) -> None:
    bag = write_camera(tmp_path / "run", 5, stamped_ms * 10**6, recorded_ms * 10**6)
    found = list(read_with_companions(bag, None, find_companions(bag)))
    assert [name for name, *_ in found] == [f"run_00000{index}" for index in range(5)]
    for index, (_, frame, companions) in enumerate(found):
        own = {companion.topic.role: companion for companion in companions}
        assert len(own) == len(companions) == 2
        assert own["camera_info"].stamp_ns == frame.stamp_ns == START_NS + index * PERIOD_NS
        assert own["depth"].stamp_ns == frame.stamp_ns + stamped_ms * 10**6
        message = STORE.deserialize_cdr(own["depth"].cdr, "sensor_msgs/msg/Image")
        assert set(message.data.view(np.uint16)) == {1000 + index}


def test_without_stamps_the_time_of_recording_is_used(tmp_path: Path) -> None:
    messages = [
        (topic, START_NS + index * PERIOD_NS, message)
        for index in range(3)
        for topic, message in (("/image", colour_at(0)), ("/camera_info", calibration(0)))
    ]
    bag = write_messages(tmp_path / "run", messages)
    assert [len(own) for *_, own in read_with_companions(bag, None, find_companions(bag))] == [1, 1, 1]


def test_stamps_that_jump_back_lose_nothing(tmp_path: Path) -> None:
    messages = []
    for recorded, stamp_ns in enumerate([START_NS, START_NS + PERIOD_NS, START_NS, START_NS + PERIOD_NS]):
        recorded_ns = recorded * PERIOD_NS
        messages += [
            ("/image", recorded_ns, colour_at(stamp_ns)),
            ("/depth", recorded_ns, depth_at(stamp_ns, 7)),
        ]
    bag = write_messages(tmp_path / "run", messages)
    assert sum(len(own) for *_, own in read_with_companions(bag, None, find_companions(bag))) == 4


def test_bad_messages_are_reported_and_the_others_read(tmp_path: Path) -> None:
    cut = colour_at(START_NS + PERIOD_NS)
    cut.data = cut.data[:-5]
    images = [colour_at(START_NS), cut, colour_at(START_NS + 2 * PERIOD_NS)]
    infos = [calibration(START_NS + index * PERIOD_NS) for index in range(3)]
    bag = write_bag(tmp_path / "run", {"/image": images, "/camera_info": infos})
    told: list[str] = []
    found = list(read_with_companions(bag, None, find_companions(bag), lambda name, _: told.append(name)))
    assert [name for name, *_ in found] == ["run_000000", "run_000002"] and told == ["run_000001"]
    assert sum(len(own) for *_, own in found) == 3
    with pytest.raises(ValueError, match="run_000001"):
        list(read_with_companions(bag, None, find_companions(bag)))
