# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Start, life and end of the node: each test has a node of its own."""

import array
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_harness import (
    NODE,
    START_TIMEOUT_S,
    NodeProcess,
    Probe,
    count,
    diagnostics,
    image_message,
    picture,
    running_node,
    send_and_wait,
    wait_until,
)
from sensor_msgs.msg import CompressedImage, Image

from seg_node.export.command import export
from seg_node.export.open_model import ModelSource
from seg_node.msg import InstanceMaskArray, PanopticSegmentation


def test_compressed_input_is_served_and_a_corrupt_jpeg_survived(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "image_transport": "compressed"}, {"image": "/front"}):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(CompressedImage, "/front/compressed")
        jpeg = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()

        def message(data: bytes, stamp: int) -> CompressedImage:
            header = image_message(picture(), stamp).header
            return CompressedImage(header=header, format="jpeg", data=array.array("B", data))

        first = send_and_wait(probe, message(jpeg, 1000), heard, camera)
        damaged = {"truncated_data": jpeg[:-100], "corrupt_image": jpeg[:50] + bytes(200) + jpeg[-2:]}
        for reason, data in damaged.items():
            camera.publish(message(data, 2000))
            wait_until(lambda r=reason: count(reports, f"dropped.{r}") == 1, 10, reason)
        last = send_and_wait(probe, message(jpeg, 3000), heard, camera)
        assert first.instances and len(first.instances) == len(last.instances)


def change_state(probe: Probe, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(probe.call(ChangeState, f"{NODE}/change_state", request)[0].success)


def state(probe: Probe) -> int:
    return int(probe.call(GetState, f"{NODE}/get_state", GetState.Request())[0].current_state.id)


def test_the_lifecycle_can_be_driven_by_hand_twice(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "autostart": False}, until="waiting to be configured"):
        for stamp in (1000, 2000):
            assert state(probe) == State.PRIMARY_STATE_UNCONFIGURED
            assert change_state(probe, Transition.TRANSITION_CONFIGURE)
            assert state(probe) == State.PRIMARY_STATE_INACTIVE
            assert change_state(probe, Transition.TRANSITION_ACTIVATE)
            heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
            camera = probe.publisher(Image, "/image")
            send_and_wait(probe, image_message(picture(), stamp), heard, camera)
            assert change_state(probe, Transition.TRANSITION_DEACTIVATE)
            wait_until(
                lambda camera=camera: camera.get_subscription_count() == 0, 10, "the end of the subscription"
            )
            assert change_state(probe, Transition.TRANSITION_CLEANUP)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"model.weights": "/nowhere/model.pth"}, ["/nowhere/model.pth"]),
        ({"classes": ["unicorn"]}, ["unknown class unicorn"]),
        ({"device": "tpu"}, ["tpu"]),
        ({"device": "cuda:99"}, ["cuda:99"]),
        ({"precision": "fp16"}, ["fp16"]),  # which is for GPUs
        ({"precision": "half"}, ["precision", "auto, exact, fp32, bf16, fp16"]),
        ({"engine": "/nowhere/model.onnx"}, ["/nowhere/model.onnx"]),
        ({"image_transport": "zip"}, ["image_transport", "raw, compressed"]),
        ({"score_threshold": "high"}, ["score_threshold"]),
    ],
)
def test_parameters_that_cannot_work_end_the_start_with_one_clear_line(
    weights: dict[str, Any], tmp_path: Path, parameters: dict[str, Any], words: list[str]
) -> None:
    process = NodeProcess(tmp_path, {**weights, **parameters}, {})
    shared_memory: set[Path] = set()

    def ended() -> bool:
        shared_memory.update(process.shared_memory())
        return process.process.poll() is not None

    wait_until(ended, START_TIMEOUT_S, "the end")
    assert process.process.wait() == 1
    assert not any(file.exists() for file in shared_memory)
    assert all(word in process.log for word in words), process.log
    assert "Traceback" not in process.log


def test_the_precision_chosen_by_auto_is_in_the_log_and_the_diagnostics(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "precision": "auto"}) as node:
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        wait_until(lambda: bool(reports), 10, "a report")
        told = diagnostics(reports)
        assert told["precision"] in ("exact (auto)", "fp32 (auto)", "bf16 (auto)")
        assert f"on cpu, precision {told['precision']}, things:" in node.log
        assert told["engine"] == "none"


def test_an_exported_engine_serves_its_image_size_and_names_the_cure_for_others(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file = tmp_path / "thin.onnx"
    size = 120, 160  # of picture()
    source = ModelSource(weights=weights["model.weights"], config=weights["model.config"], device="cpu")
    export(file, size, source)
    with running_node(tmp_path, {**weights, "precision": "auto", "engine": str(file)}) as node:
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        assert send_and_wait(probe, image_message(picture(), 1000), heard, camera).instances
        camera.publish(image_message(picture(160, 120), 2000))
        wait_until(lambda: count(reports, "dropped.failed") == 1, 10, "the other size counted")
        assert "export a file for it: seg_node export --size WIDTHxHEIGHT" in node.log
        assert send_and_wait(probe, image_message(picture(), 3000), heard, camera).instances
        assert diagnostics(reports)["engine"] == str(file)
        assert f"engine {file}" in node.log and "ONNX Runtime (CPUExecutionProvider)" in node.log


def test_a_misspelt_parameter_is_named_with_the_closest_match(
    weights: dict[str, Any], tmp_path: Path
) -> None:
    of_ros = {"start_type_description_service": True, "use_sim_time": False}  # as in a node's own dump
    with running_node(tmp_path, {**weights, **of_ros, "score_treshold": 0.3}) as process:
        assert "did you mean score_threshold?" in process.log
        assert process.log.count("is not one of this node's") == 1


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_during_a_frame(
    weights: dict[str, Any], tmp_path: Path, probe: Probe, ending: signal.Signals
) -> None:
    with running_node(tmp_path, {**weights, "always_on": True}) as node:
        camera = probe.publisher(Image, "/image")
        for stamp in range(1000, 1100):
            camera.publish(image_message(picture(720, 1280), stamp))
            time.sleep(0.01)
        shared_memory = node.shared_memory()
        node.process.send_signal(ending)
        assert node.process.wait(20) == 0, node.log
        assert shared_memory and not any(file.exists() for file in shared_memory)
        assert not any(word in node.log for word in ("Traceback", "terminate", "dropped", "invalid")), (
            node.log
        )


def test_names_follow_namespace_node_name_and_remaps(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    remaps = {"__ns": "/robot", "__node": "eyes", "image": "camera/image_raw", "~/instances": "objects"}
    with running_node(tmp_path, {**weights, "always_on": True}, remaps):
        heard = probe.listen(InstanceMaskArray, "/robot/objects")
        probe.listen(PanopticSegmentation, "/robot/eyes/panoptic")
        camera = probe.publisher(Image, "/robot/camera/image_raw")
        wait_until(lambda: camera.get_subscription_count() > 0, 10, "the node")
        camera.publish(image_message(picture(), 1000))
        wait_until(lambda: bool(heard), 20, "an output under the remapped name")


def test_without_a_subscriber_the_model_is_idle_and_the_frames_are_counted(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        for i in range(1, 4):
            camera.publish(image_message(picture(), 1000 + i))
            wait_until(lambda i=i: count(reports, "dropped.no_subscriber") == i, 10, "the count")
        assert count(reports, "processed") == 0
        assert probe.set_parameter("always_on", True)[0].successful
        camera.publish(image_message(picture(), 2000))
        wait_until(lambda: count(reports, "processed") == 1, 20, "a processed frame")


def is_resting(reports: list[DiagnosticArray]) -> bool:
    return bool(reports) and reports[-1].status[0].message.startswith("resting")


def test_a_camera_without_subscribers_is_unsubscribed_until_one_arrives(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "rest_after": 0.3}):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.node.create_publisher(Image, "/image", 50)
        for turn in range(2):
            wait_until(lambda: camera.get_subscription_count() == 0, 20, "the rest")
            wait_until(lambda: is_resting(reports), 20, "the report of it")
            assert reports[-1].status[0].level == DiagnosticStatus.OK
            heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
            wait_until(lambda: camera.get_subscription_count() == 1, 20, "the subscription")
            send_and_wait(probe, image_message(picture(), 1000 + turn), heard, camera)
            for subscription in list(probe.node.subscriptions):
                if subscription.topic_name == f"{NODE}/instances":
                    probe.node.destroy_subscription(subscription)
            for stamp in range(5):  # on their way when it is unsubscribed from
                camera.publish(image_message(picture(), 1500 + 10 * turn + stamp))
        wait_until(lambda: camera.get_subscription_count() == 0, 20, "the rest")
        wait_until(lambda: count(reports, "processed") >= 2, 20, "the counts")

        def balanced() -> bool:
            ended = count(reports, "processed") + count(reports, "dropped")
            return count(reports, "in_work") == 0 and count(reports, "received") == ended

        wait_until(balanced, 20, "the end of the work")


def test_a_topic_without_images_is_reported_with_those_that_have_some(
    weights: dict[str, Any], probe: Probe, tmp_path: Path
) -> None:
    camera = probe.node.create_publisher(Image, "/camera/image_raw", 5)
    packed = probe.node.create_publisher(CompressedImage, "/depth/compressedDepth", 5)
    parameters = {**weights, "depth.enabled": True}
    with running_node(tmp_path, parameters, {"image": "/wrong/topic"}) as node:
        node.wait_for_log("no image has come on /wrong/topic for 10 s", 30)
        # not the node's own outputs, which are images too
        assert "topics on which Image is published: /camera/image_raw\n" in node.log
        node.wait_for_log("no camera_info has come on /wrong/camera_info", 10)
        node.wait_for_log("no depth has come on /depth for 10 s", 10)
        assert "/depth/compressedDepth is published: set depth.transport to compressedDepth" in node.log
    probe.node.destroy_publisher(camera)
    probe.node.destroy_publisher(packed)


def test_a_second_node_on_the_same_topics_is_reported(
    weights: dict[str, Any], probe: Probe, tmp_path: Path
) -> None:
    forgotten = probe.node.create_publisher(InstanceMaskArray, f"{NODE}/instances", 5)
    with running_node(tmp_path, weights) as node:
        node.wait_for_log("/seg_node/instances has another publisher", 20)
    probe.node.destroy_publisher(forgotten)
