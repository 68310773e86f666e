# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes and topics with odd but legal names, and what is said of names that are too long."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from conftest import RELIABLE
from diagnostic_msgs.msg import DiagnosticArray
from node_harness import (
    START_TIMEOUT_S,
    NodeProcess,
    Probe,
    count,
    image_message,
    picture,
    running_node,
    send_and_wait,
    wait_until,
)
from sensor_msgs.msg import CompressedImage, Image

from seg_node.msg import InstanceMaskArray
from seg_node.ros.common.topics import LONGEST_TOPIC

DEEP = "/building_7/floor0/_hall/x/y/z/r2d2_"
LONGEST = "/" + "very_long_" * 24 + "name_1"


@pytest.mark.parametrize(
    ("remaps", "image", "instances"),
    [
        ({"__ns": DEEP, "__node": "n_1_x"}, f"{DEEP}/image", f"{DEEP}/n_1_x/instances"),
        ({"__ns": "/r2", "image": "cam_0/image_raw9"}, "/r2/cam_0/image_raw9", "/r2/seg_node/instances"),
        ({"image": "~/in", "~/instances": "~/out/_2d"}, "/seg_node/in", "/seg_node/out/_2d"),
        ({"image": "/I", "~/instances": "/_"}, "/I", "/_"),
        ({"image": LONGEST, "~/instances": LONGEST[:-1]}, LONGEST, LONGEST[:-1]),
        ({"__node": "n" * 200}, "/image", f"/{'n' * 200}/instances"),
    ],
    ids=["deep", "relative", "private", "short", "longest", "long node"],
)
def test_images_reach_a_node_under_any_legal_name(
    remaps: dict[str, str], image: str, instances: str, weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    overrides = {image: {"subscription": dict(RELIABLE)}}
    with running_node(tmp_path, {**weights, "qos_overrides": overrides}, remaps) as node:
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        heard = probe.listen(InstanceMaskArray, instances)
        send_and_wait(probe, image_message(picture(), 1000), heard, probe.publisher(Image, image))
        wait_until(lambda: count(reports, "processed") == 1, 20, "the count")
        assert f"waiting for images on {image}\n" in node.log
        assert "Traceback" not in node.log


def test_the_longest_camera_name_has_all_its_topics(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    name = "c/" + "d" * 98
    parameters = {**weights, "cameras": [name], "image_transport": "compressed", "depth.enabled": True}
    with running_node(tmp_path, parameters):
        probe.publisher(CompressedImage, f"/{name}/image/compressed")
        probe.publisher(Image, f"/{name}/depth")
        probe.listen(CompressedImage, f"/seg_node/{name}/debug_image/compressed")


@pytest.mark.parametrize(
    ("remaps", "parameters", "words"),
    [
        ({"image": f"/{'a' * LONGEST_TOPIC}"}, {}, "cannot activate: topic image"),
        ({"image": LONGEST}, {"image_transport": "compressed"}, "cannot activate: topic /very_long_"),
        ({"~/instances": f"/{'a' * LONGEST_TOPIC}"}, {}, "cannot configure: topic ~/instances"),
        ({"__node": "n" * 150}, {"cameras": ["c" * 90]}, "cannot configure: topic ~/ccc"),
        ({"__node": "n" * 240}, {}, "length should not exceed"),
    ],
    ids=["image", "transport", "output", "camera", "services"],
)
def test_a_name_that_is_too_long_is_refused_in_one_line(
    remaps: dict[str, str], parameters: dict[str, Any], words: str, weights: dict[str, Any], tmp_path: Path
) -> None:
    node = NodeProcess(tmp_path, {**weights, **parameters}, remaps)
    try:
        assert node.process.wait(START_TIMEOUT_S) == 1
    finally:
        node.stop()
    (line,) = [line for line in node.log.splitlines() if words in line]
    assert "Traceback" not in node.log
    assert "shorten" in line or remaps == {"__node": "n" * 240}


@pytest.mark.usefixtures("tf2")
def test_tf_can_be_remapped_into_the_namespace(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    remaps = {"__ns": "/robot1", "/tf": "tf", "/tf_static": "tf_static"}  # as the launch file and Nav2 do it
    with running_node(tmp_path, {**weights, "target_frame": "base_link"}, remaps):
        listeners = probe.node.count_subscribers
        wait_until(lambda: listeners("/robot1/tf") == listeners("/robot1/tf_static") == 1, 20, "its TF")
        assert not listeners("/tf") and not listeners("/tf_static")
