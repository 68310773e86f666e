# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts change while frames come: messages name the classes of the list that their frame was run with."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
pytest.importorskip("transformers.models.sam3", reason="this version of transformers has no SAM 3")

from conftest import RELIABLE
from diagnostic_msgs.msg import DiagnosticArray
from node_harness import (
    NODE,
    Probe,
    image_message,
    picture,
    running_node,
    send_and_wait,
    stamp_ms,
    wait_until,
)
from node_harness import count as counted
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from thin_sam3 import write_sam3_folder

from seg_node.msg import InstanceMaskArray, PanopticSegmentation
from seg_node.ros.messages import vision
from seg_node.srv import Segment

FIRST, SECOND = ["mug", "fork"], ["fork", "door", "mug"]


@pytest.fixture(scope="session")
def sam3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sam3_folder(tmp_path_factory.mktemp("sam3"))


@pytest.fixture
def prompted(sam3_folder: Path) -> dict[str, Any]:
    return {
        "model.weights": str(sam3_folder),
        "prompts": FIRST,
        "score_threshold": 0.1,
        "duplicate_iou": 1.0,
        "device": "cpu",
        "precision": "exact",
        "qos_overrides": {"/image": {"subscription": dict(RELIABLE)}},
    }


@contextmanager
def streaming(probe: Probe) -> Iterator[None]:
    """Frames that differ, 20 ms apart, until the end."""
    camera, done = probe.publisher(Image, "/image"), threading.Event()
    pictures = [picture(seed=seed) for seed in range(4)]

    def stream() -> None:
        for number in count():
            if done.wait(0.02):
                return
            camera.publish(image_message(pictures[number % 4], 1000 + 20 * number))

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def pairs(message: Any) -> set[tuple[int, str]]:
    found = message.segments if isinstance(message, PanopticSegmentation) else message.instances
    return {(entry.class_id, entry.class_name) for entry in found}


def listen_to_labels(probe: Probe) -> list[list[str]]:
    """The lists of names in LabelInfo, in the order in which they come."""
    lists: list[list[str]] = []

    def hear(message: Any) -> None:
        lists.append([entry.class_name for entry in message.class_map])

    once = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    probe.node.create_subscription(vision.LabelInfo, f"{NODE}/label_info", hear, once)
    return lists


def test_no_message_names_another_list_than_its_frames(
    prompted: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, prompted):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        instances = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        panoptic = probe.listen(PanopticSegmentation, f"{NODE}/panoptic")
        lists = [set(enumerate(names)) for names in (FIRST, SECOND)]
        with streaming(probe):
            for turn in range(1, 7):
                wait_until(lambda: len(pairs(instances[-1])) > 1 if instances else False, 30, "objects")
                result, _ = probe.set_parameter("prompts", [FIRST, SECOND][turn % 2])
                assert result.successful, result.reason
                wanted = lists[turn % 2]
                wait_until(lambda w=wanted: pairs(instances[-1]) <= w and pairs(instances[-1]), 30, "them")
        wait_until(lambda: counted(reports, "processed") > 5, 10, "a report")
        assert counted(reports, "failed") == 0
    by_stamp: dict[int, set[tuple[int, str]]] = {}
    for message in [*instances, *panoptic]:
        by_stamp.setdefault(stamp_ms(message.header), set()).update(pairs(message))
    assert all(any(names <= names_of_list for names_of_list in lists) for names in by_stamp.values())
    assert {name for names in by_stamp.values() for name in names} >= {(0, "mug"), (0, "fork"), (1, "door")}


def test_objects_whose_prompt_stays_keep_their_ids(
    prompted: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, prompted):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        camera = probe.publisher(Image, "/image")
        before = send_and_wait(probe, image_message(picture(), 1000), heard, camera)
        probe.set_parameter("prompts", SECOND)
        after = send_and_wait(probe, image_message(picture(), 1040), heard, camera)
    ids = [
        {name: {entry.id for entry in message.instances if entry.class_name == name} for name in SECOND}
        for message in (before, after)
    ]
    assert ids[0]["mug"] and ids[0]["fork"] and ids[1]["door"]
    assert ids[1]["mug"] == ids[0]["mug"] and ids[1]["fork"] == ids[0]["fork"]
    assert not ids[1]["door"] & (ids[0]["mug"] | ids[0]["fork"])


@pytest.mark.skipif(not vision.installed(), reason="vision_msgs is not installed")
def test_label_info_follows_even_without_frames(
    prompted: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, prompted):
        lists = listen_to_labels(probe)
        wait_until(lambda: lists[-1:] == [FIRST], 20, "the first list")
        probe.set_parameter("prompts", SECOND)
        wait_until(lambda: lists[-1:] == [SECOND], 20, "the second list")
        late = listen_to_labels(probe)
        wait_until(lambda: late[-1:] == [SECOND], 20, "the second list, for who comes later")


def test_segment_answers_with_the_newest_list(prompted: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    with running_node(tmp_path, prompted):
        probe.set_parameter("prompts", SECOND)
        request = Segment.Request(image=image_message(picture(), 1000), panoptic=True)
        response, _ = probe.call(Segment, f"{NODE}/segment", request)
    assert response.success, response.message
    for message in (response.instances, response.panoptic):
        assert pairs(message) <= set(enumerate(SECOND)) and pairs(message)


UNUSABLE = [
    ("prompts", [""], "there are none: give some, such as mug, screwdriver"),
    ("prompts", ["mug", ""], "the name of class 1 is ''"),
    ("prompts", ["mug", "mug"], "'mug' is listed twice"),
    ("prompts", ["a" * 40], "has 40 tokens, of at most 30: shorten it"),
    ("prompts", [f"object {i}" for i in range(65)], "65 prompts are given, of at most 64"),
    ("classes", ["screwdriver"], "unknown class screwdriver; this model knows: mug, fork"),
]


def test_what_cannot_be_used_is_refused_when_it_is_set(
    prompted: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, prompted):
        for name, value, reason in UNUSABLE:
            result, _ = probe.set_parameter(name, value)
            assert not result.successful and reason in result.reason
        kept, _ = probe.get_parameter("prompts")
    assert list(kept.string_array_value) == FIRST


def test_prompts_of_a_model_that_takes_none_are_refused_when_set(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        result, _ = probe.set_parameter("prompts", FIRST)
    assert not result.successful
    assert "this model takes no text: leave prompts empty" in result.reason


@pytest.mark.parametrize("family", ["without text", "with text"])
def test_the_node_does_not_start_with_prompts_that_do_not_fit(
    family: str, weights: dict[str, Any], prompted: dict[str, Any], tmp_path: Path
) -> None:
    wrong = {**weights, "prompts": FIRST} if family == "without text" else {**prompted, "prompts": [""]}
    with running_node(tmp_path, wrong, until="not started") as node:
        reason = next(line for line in islice(node.log.splitlines(), 50) if "cannot configure" in line)
    assert ("takes no text" if family == "without text" else "there are none: give some") in reason
