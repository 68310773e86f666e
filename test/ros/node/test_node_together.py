# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Two nodes that start in the same moment: neither hinders the other."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from conftest import RELIABLE
from node_harness import NodeProcess, Probe, image_message, picture, send_and_wait
from sensor_msgs.msg import Image

from seg_node.msg import InstanceMaskArray

NAMES = ("left_eye", "right_eye")


@pytest.mark.parametrize("turn", range(2))
def test_two_nodes_that_start_at_once_are_both_active_and_serve_their_cameras(
    turn: int, weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    nodes = {}
    for name in NAMES:
        (tmp_path / name).mkdir()
        overrides = {f"/{name}/image": {"subscription": dict(RELIABLE)}}
        remaps = {"__node": name, "image": f"/{name}/image"}
        nodes[name] = NodeProcess(tmp_path / name, {**weights, "qos_overrides": overrides}, remaps)
    try:
        for node in nodes.values():
            node.wait_for_log("active, waiting for images")
        for name in NAMES:
            heard = probe.listen(InstanceMaskArray, f"/{name}/instances")
            camera = probe.publisher(Image, f"/{name}/image")
            send_and_wait(probe, image_message(picture(), 1000 + turn), heard, camera)
            assert len(heard) == 1
    finally:
        codes = [node.stop() for node in nodes.values()]
    assert codes == [0, 0]
    assert not any(word in node.log for node in nodes.values() for word in ("Traceback", "another publisher"))
