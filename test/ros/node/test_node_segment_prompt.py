# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`~/segment_prompt` of the real node: boxes and points on an image, or on the camera's newest one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")
pytest.importorskip("transformers.models.sam2", reason="this version of transformers has no SAM 2")
pytest.importorskip(
    "seg_node.srv._segment_prompt", reason="the messages were built before it: run scripts/setup"
)

from diagnostic_msgs.msg import DiagnosticArray
from node_harness import NODE, Probe, image_message, picture, running_node, send_and_wait, wait_until
from sensor_msgs.msg import Image
from thin_sam2 import write_sam_folder

from seg_node.msg import InstanceMaskArray
from seg_node.srv import Segment, SegmentPrompt

BOXES = [10.0, 10.0, 90.0, 80.0, 60.0, 20.0, 150.0, 110.0]


@pytest.fixture
def prompted(weights: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = write_sam_folder(tmp_path_factory.mktemp("sam2"), "sam2")
    return {**weights, "prompt_model.weights": str(folder)}


def ask(probe: Probe, **request: Any) -> Any:
    return probe.call(SegmentPrompt, f"{NODE}/segment_prompt", SegmentPrompt.Request(**request))[0]


def answered(reports: list[DiagnosticArray]) -> tuple[str | None, str | None]:
    """The numbers of requests that were answered and that failed, in the newest report."""
    statuses = reports[-1].status if reports else []
    values = {pair.key: pair.value for status in statuses for pair in status.values}
    return values.get("segment_prompt.answered"), values.get("segment_prompt.failed")


def test_boxes_and_points_are_answered_while_the_stream_runs(
    prompted: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, prompted):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        refused = ask(probe, points=[20.0, 30.0])
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        camera = probe.publisher(Image, "/image")
        sent = image_message(picture(), 1000)
        send_and_wait(probe, sent, heard, camera)
        newest = ask(probe, boxes=BOXES)
        given = ask(probe, boxes=BOXES, image=image_message(picture(), 7000))
        point = ask(probe, points=[20.0, 30.0])
        again = send_and_wait(probe, image_message(picture(), 2000), heard, camera)
        whole, _ = probe.call(Segment, f"{NODE}/segment", Segment.Request(image=sent))
        wrong = [
            ask(probe),
            ask(probe, boxes=BOXES[:3]),
            ask(probe, points=[20.0, 30.0], point_labels=[2]),
            ask(probe, points=[200.0, 30.0]),
            ask(probe, points=[20.0, 30.0], camera="rear"),
        ]
        wait_until(lambda: answered(reports) == ("3", "6"), 30, "the counts")
    assert not refused.success and "no image of the camera has come" in refused.message
    assert newest.success and given.success, newest.message
    assert newest.instances.header == sent.header
    assert [(one.class_id, one.class_name) for one in newest.instances.instances] == [(0, "object")] * 2
    assert (newest.instances.height, newest.instances.width) == (120, 160)
    for ours, other in zip(newest.instances.instances, given.instances.instances, strict=True):
        np.testing.assert_array_equal(ours.data, other.data)
    assert point.success and len(point.instances.instances) == 1
    assert again.instances and whole.success
    assert [answer.success for answer in wrong] == [False] * 5
    assert [answer.message for answer in wrong] == [
        "neither a box nor a point on an object is given: give one",
        "boxes has 3 numbers, points 0: each box has 4, each point has 2",
        "point_labels has 2: a label is 1, on the object, or 0, beside it",
        "(200, 30) lies outside the image of 160x120",
        "camera 'rear' is not one of this node's: ''",
    ]


def test_without_the_model_there_is_no_service_and_no_library(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    def services() -> set[str]:
        return {name for name, _ in probe.node.get_service_names_and_types()}

    with running_node(tmp_path, weights) as node:
        wait_until(lambda: f"{NODE}/segment" in services(), 20, "the services")
        response, _ = probe.call(
            Segment, f"{NODE}/segment", Segment.Request(image=image_message(picture(), 1))
        )
        found = services()
        maps = Path(f"/proc/{node.process.pid}/maps").read_text()
    assert response.success and f"{NODE}/segment_prompt" not in found
    assert "/tokenizers/" not in maps  # transformers' library in Rust


def test_a_folder_that_does_not_fit_is_named(prompted: dict[str, Any], tmp_path: Path) -> None:
    wrong = {**prompted, "prompt_model.weights": str(tmp_path)}
    with running_node(tmp_path, wrong, until="not started") as node:
        assert f"cannot configure: {tmp_path}" in node.log
