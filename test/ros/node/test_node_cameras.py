# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras on one model: own topics, headers, counts and ids; none waits for a dead one."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

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
from sensor_msgs.msg import Image

from seg_node.msg import InstanceMaskArray, PanopticSegmentation

NAMES = ["front", "rear", "left", "right"]


@pytest.fixture
def several(weights: dict[str, Any]) -> dict[str, Any]:
    overrides = {f"/{name}/image": {"subscription": dict(RELIABLE)} for name in NAMES}
    return {**weights, "cameras": NAMES, "qos_overrides": overrides}


def values_of(reports: list[DiagnosticArray], camera: str) -> dict[str, str]:
    """Of the newest report; nothing before the first."""
    found = [s for report in reports[-1:] for s in report.status if s.name == f"{NODE}: frames of {camera}"]
    return {pair.key: pair.value for status in found for pair in status.values}


def test_each_camera_has_its_topics_headers_sizes_and_counts(
    several: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, several):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        front = probe.listen(InstanceMaskArray, f"{NODE}/front/instances")
        rear = probe.listen(InstanceMaskArray, f"{NODE}/rear/instances")
        panoptic = probe.listen(PanopticSegmentation, f"{NODE}/rear/panoptic")
        to_front, to_rear = (probe.publisher(Image, f"/{name}/image") for name in ("front", "rear"))
        own, other = image_message(picture(120, 160, 1), 1000), image_message(picture(96, 128, 2), 2000)
        own.header.frame_id, other.header.frame_id = "front_optical", "rear_optical"
        got = send_and_wait(probe, own, front, to_front), send_and_wait(probe, other, rear, to_rear)
        assert [(m.header.frame_id, m.height, m.width) for m in got] == [
            ("front_optical", 120, 160),
            ("rear_optical", 96, 128),
        ]
        assert all(m.instances for m in got)
        wait_until(lambda: bool(panoptic), 20, "the rear camera's panoptic map")
        assert panoptic[0].header.frame_id == "rear_optical"
        wait_until(lambda: values_of(reports, "rear").get("processed") == "1", 10, "the rear camera's count")
        assert values_of(reports, "front")["received"] == "1"
        assert values_of(reports, "left")["received"] == "0"
        assert len(front) == len(rear) == 1


def test_a_fast_camera_does_not_starve_a_slow_one_and_a_dead_one_delays_none(
    several: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, several):
        heard = {name: probe.listen(InstanceMaskArray, f"{NODE}/{name}/instances") for name in NAMES}
        fast, slow = (probe.publisher(Image, f"/{name}/image") for name in ("front", "rear"))
        done = threading.Event()
        pixels = picture()

        def flood() -> None:
            for stamp in range(1000, 100_000):
                if done.wait(0.005):
                    return
                fast.publish(image_message(pixels, stamp))

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            wait_until(lambda: len(heard["front"]) > 2, 30, "the fast camera's results")
            for stamp in range(5):
                slow.publish(image_message(pixels, 1000 + stamp))
                wait_until(lambda n=stamp: len(heard["rear"]) > n, 20, "the slow camera's turn")
        finally:
            done.set()
            thread.join()
        assert [stamp_ms(m.header) for m in heard["rear"]] == [1000, 1001, 1002, 1003, 1004]  # none replaced
        assert not heard["left"] and not heard["right"]


def test_each_camera_has_ids_of_its_own(several: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    with running_node(tmp_path, several):
        heard = {name: probe.listen(InstanceMaskArray, f"{NODE}/{name}/instances") for name in NAMES[:2]}
        cameras = {name: probe.publisher(Image, f"/{name}/image") for name in NAMES[:2]}
        for name in NAMES[:2]:
            message = send_and_wait(probe, image_message(picture(), 1000), heard[name], cameras[name])
            assert min(found.id for found in message.instances) == 1


def test_cameras_in_one_batch_give_each_its_own_objects(
    several: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**several, "max_batch": 4}):
        heard = {name: probe.listen(InstanceMaskArray, f"{NODE}/{name}/instances") for name in NAMES}
        cameras = {name: probe.publisher(Image, f"/{name}/image") for name in NAMES}
        for turn in range(3):  # while the first is in work the others come to wait, and go together
            for seed, name in enumerate(NAMES):
                cameras[name].publish(image_message(picture(seed=seed), 1000 + turn))
            time.sleep(0.05)
        wait_until(lambda: all(stamp_ms(heard[n][-1].header) == 1002 for n in NAMES if heard[n]), 30, "all")
        wait_until(lambda: all(heard[name] for name in NAMES), 30, "a result of each camera")
        boxes = {name: [o.x_min for o in heard[name][-1].instances] for name in NAMES}
        for name, seed in zip(NAMES, range(4), strict=True):
            stamp = 5000 + seed
            alone = send_and_wait(probe, image_message(picture(seed=seed), stamp), heard[name], cameras[name])
            # A batch adds up in another order on some CPUs.
            np.testing.assert_allclose([o.x_min for o in alone.instances], boxes[name], atol=0.01)
        assert boxes["front"] != boxes["rear"]


@pytest.mark.parametrize(
    "names", [["front", "front"], ["front", ""], ["1st"], ["a b"], ["a٣"], ["é"], ["a" * 101]]
)
def test_camera_names_that_no_topic_can_have_are_refused(
    names: list[str], weights: dict[str, Any], tmp_path: Path
) -> None:
    with (
        pytest.raises(AssertionError, match="cameras"),
        running_node(tmp_path, {**weights, "cameras": names}),
    ):
        pass
