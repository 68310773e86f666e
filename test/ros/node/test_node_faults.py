# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What operators, clients and a broken model do to the node: it is reported, counted, and survived."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from faulty_node_control import (
    ERROR,
    OK,
    WARN,
    assert_balanced,
    change_state,
    faulty_node,
    level,
)
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import GetState
from node_harness import (
    NODE,
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
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from seg_node.msg import FrameTiming, InstanceMaskArray
from seg_node.srv import Segment


def state(probe: Probe) -> int:
    return int(probe.call(GetState, f"{NODE}/get_state", GetState.Request())[0].current_state.id)


def node_counts(reports: list[DiagnosticArray]) -> dict[str, str]:
    return {pair.key: pair.value for pair in reports[-1].status[-1].values}


# --- transitions, parameters and the clock ---


def test_transitions_that_do_not_apply_are_refused_in_every_state(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "autostart": False}, until="waiting to be configured") as node:
        for number, label in [
            (4, ""),
            (3, ""),
            (99, ""),
            (10, ""),
            (255, ""),
            (1, "dance"),
            (0, "\n\x1b[2J"),
        ]:
            assert not change_state(probe, number, label)
        assert change_state(probe, 0, "configure")
        assert not change_state(probe, Transition.TRANSITION_CONFIGURE)
        assert change_state(probe, Transition.TRANSITION_ACTIVATE)
        for number in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE, 2, 30):
            assert not change_state(probe, number)
        assert state(probe) == State.PRIMARY_STATE_ACTIVE
        assert "in state unconfigured there are: configure, shutdown" in node.log
        assert "\x1b" not in node.log.replace("\x1b[0m", "").replace("\x1b[33m", "")


def test_parameters_of_an_unknown_type_are_refused(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        strange = Parameter(name="score_threshold", value=ParameterValue(type=99))
        good = Parameter(name="min_area", value=ParameterValue(type=2, integer_value=7))
        request = SetParameters.Request(parameters=[good, strange, good])
        answer, _ = probe.call(SetParameters, f"{NODE}/set_parameters", request)
        assert [result.successful for result in answer.results] == [True, False, False]
        assert answer.results[1].reason
        together = SetParametersAtomically.Request(parameters=[good, strange])
        answer, _ = probe.call(SetParametersAtomically, f"{NODE}/set_parameters_atomically", together)
        assert not answer.result.successful and answer.result.reason
        assert probe.get_parameter("min_area")[0].integer_value == 7


def test_a_missing_simulated_clock_is_reported_and_ages_are_0(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "use_sim_time": True}) as node:
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        timings = probe.listen(FrameTiming, f"{NODE}/timing")
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        camera = probe.publisher(Image, "/image")
        send_and_wait(probe, image_message(picture(), 1000), heard, camera)
        wait_until(lambda: bool(timings), 20, "the timing")
        assert timings[0].age_ms == 0.0
        wait_until(lambda: "no /clock has come" in level(reports, -1)[1], 20, "the report of it")
        assert level(reports, -1)[0] == WARN
        wait_until(lambda: "no /clock has come" in node.log, 20, "the warning")
        clock = probe.publisher(Clock, "/clock")

        def clock_came() -> bool:
            clock.publish(Clock(clock=Time(sec=5)))  # best effort: one may be lost
            return level(reports, -1) == (OK, "running")

        wait_until(clock_came, 20, "the end of the warning")


def test_a_clock_before_the_epoch_is_counted_and_survived(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, {**weights, "use_sim_time": True}) as node:
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        clock = probe.publisher(Clock, "/clock")

        def counted() -> bool:
            clock.publish(Clock(clock=Time(sec=-5)))  # best effort: one may be lost
            return bool(reports) and int(node_counts(reports)["callback_failed"]) > 0

        wait_until(counted, 20, "the count")
        assert "Traceback" in node.log
        wait_until(lambda: level(reports, -1)[0] == WARN, 20, "the warning")
        assert probe.set_parameter("min_area", 5)[0].successful


@pytest.mark.parametrize(
    ("end", "topic", "policy", "value"),
    [
        ("subscription", "/image", "reliability", "sometimes"),
        ("subscription", "/image", "depth", -1),
        ("publisher", f"{NODE}/instances", "depth", 2**63 - 1),
    ],
)
def test_a_wrong_qos_override_names_its_topic_and_ends_the_start(
    weights: dict[str, Any], tmp_path: Path, end: str, topic: str, policy: str, value: Any
) -> None:
    override = {"qos_overrides": {topic: {end: {policy: value}}}}
    process = NodeProcess(tmp_path, {**weights, **override}, {})
    assert process.process.wait(START_TIMEOUT_S) == 1
    assert f"QoS of {'~/instances' if end == 'publisher' else topic} is refused" in process.log, process.log
    assert "Traceback" not in process.log


@pytest.mark.parametrize("arguments", [["-r", "garbage"], ["--params-file", "/nowhere.yaml"], ["-p", ":="]])
def test_ros_arguments_that_cannot_be_read_are_refused_in_one_line(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "seg_node.ros.node", "--ros-args", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr and run.stderr.startswith("seg_node: ")


def test_a_failed_transition_is_rolled_back_and_can_be_repeated(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    override = {"qos_overrides": {"/image": {"subscription": {"reliability": "sometimes"}}}}
    parameters = {**weights, **override, "autostart": False}
    with running_node(tmp_path, parameters, until="waiting to be configured") as node:
        for _ in range(2):
            assert change_state(probe, Transition.TRANSITION_CONFIGURE)
            for _ in range(2):
                assert not change_state(probe, Transition.TRANSITION_ACTIVATE)
                assert state(probe) == State.PRIMARY_STATE_INACTIVE
            assert change_state(probe, Transition.TRANSITION_CLEANUP)
        assert node.log.count("cannot activate") == 4


def test_classes_set_while_the_model_loads_are_reverted_if_it_lacks_them(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, weights, "load_hang", until="") as (node, switch):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        wait_until(lambda: bool(reports) and "has been loading for" in level(reports)[1], 30, "the report")
        assert probe.set_parameter("classes", ["unicorn"])[0].successful
        switch.set("")
        node.wait_for_log("active, waiting for images")
        assert "taken back: unknown class unicorn" in node.log
        assert list(probe.get_parameter("classes")[0].string_array_value) == [""]


def test_memory_does_not_grow_with_each_lifecycle_round(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    def resident_mb() -> float:
        pages = int(Path(f"/proc/{node.process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 1e6

    with running_node(tmp_path, {**weights, "autostart": False}, until="waiting to be configured") as node:
        sizes = []
        for _ in range(8):
            for transition in (1, 3, 4, 2):  # configure, activate, deactivate, clean up
                assert change_state(probe, transition)
            sizes.append(resident_mb())
        # 150 MB a round with an arena for each worker thread
        assert sizes[-1] - sizes[1] < 100, sizes


# --- a model that is stuck or raises ---


def test_a_stuck_model_is_an_error_and_is_replaced_through_the_lifecycle(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, {**weights, "stall_timeout": 0.5}) as (_, switch):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        send_and_wait(probe, image_message(picture(), 1000), heard, camera)
        switch.set("hang")
        for stamp in (2000, 2100, 2200):
            camera.publish(image_message(picture(), stamp))
        wait_until(lambda: "the work in hand has taken" in level(reports)[1], 20, "the stall")
        assert level(reports)[0] == level(reports, -1)[0] == ERROR
        assert change_state(probe, Transition.TRANSITION_DEACTIVATE)
        assert change_state(probe, Transition.TRANSITION_CLEANUP)
        assert_balanced(reports)
        assert count(reports, "dropped.abandoned") == 1
        switch.set("")
        assert change_state(probe, Transition.TRANSITION_CONFIGURE)
        assert change_state(probe, Transition.TRANSITION_ACTIVATE)
        camera = probe.publisher(Image, "/image")
        send_and_wait(probe, image_message(picture(), 3000), heard, camera)
        wait_until(lambda: level(reports)[0] != ERROR, 20, "the recovery")
        assert_balanced(reports)
        assert not any(output.header.stamp.sec == 2 for output in heard)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_whose_model_is_stuck(
    weights: dict[str, Any], tmp_path: Path, probe: Probe, ending: signal.Signals
) -> None:
    with faulty_node(tmp_path, {**weights, "always_on": True}) as (node, switch):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        switch.set("hang")
        probe.publisher(Image, "/image").publish(image_message(picture(), 1000))
        wait_until(lambda: bool(reports) and float(node_counts(reports)["work_in_hand_s"]) > 0, 20, "work")
        node.process.send_signal(ending)
        assert node.process.wait(60) == 0, node.log
        assert "no longer waited for" in node.log or "not stopped after" in node.log


def test_a_second_signal_ends_the_node_at_once(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    with faulty_node(tmp_path, {**weights, "always_on": True}) as (node, switch):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        switch.set("hang")
        probe.publisher(Image, "/image").publish(image_message(picture(), 1000))
        wait_until(lambda: bool(reports) and float(node_counts(reports)["work_in_hand_s"]) > 0, 20, "work")

        def ended() -> bool:
            node.process.send_signal(signal.SIGINT)
            return node.process.poll() is not None

        wait_until(ended, 60, "the end")
        assert node.process.wait() == 0


def test_a_signal_ends_a_node_whose_model_is_still_loading(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, weights, "load_hang", until="") as (node, _):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        wait_until(lambda: bool(reports) and "has been loading for" in level(reports)[1], 30, "the report")
        assert probe.set_parameter("min_area", 3)[0].successful  # services are not frozen meanwhile
        assert not change_state(probe, Transition.TRANSITION_CONFIGURE)
        assert "another transition is under way" in node.log
        shared_memory = node.shared_memory()
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(60) == 0, node.log
        assert shared_memory and not any(file.exists() for file in shared_memory)


@pytest.mark.parametrize(
    ("word", "reason", "text"),
    [
        ("raise", "failed", "KeyError: 'no such layer'"),
        ("exit", "failed", "SystemExit: 3"),
        ("nan", "bad_result", "score"),
    ],
)
def test_a_model_that_always_fails_is_an_error_with_its_traceback_and_recovers(
    weights: dict[str, Any], tmp_path: Path, probe: Probe, word: str, reason: str, text: str
) -> None:
    with faulty_node(tmp_path, weights) as (node, switch):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        switch.set(word)
        for i in range(5):
            camera.publish(image_message(picture(), 1000 + i))
            wait_until(lambda i=i: count(reports, f"dropped.{reason}") == i + 1, 20, "the count")
        wait_until(lambda: level(reports)[0] == ERROR, 20, "the error")
        assert "last 5 frames were all dropped" in level(reports)[1]
        assert text in node.log and ("Traceback" in node.log) == (reason == "failed")
        switch.set("")
        send_and_wait(probe, image_message(picture(), 3000), heard, camera)
        wait_until(lambda: level(reports)[0] != ERROR, 20, "the recovery")
        assert_balanced(reports)


@pytest.mark.parametrize("word", ["debug_hang", "debug_exit"])
def test_a_faulty_debug_image_affects_nothing_else(
    weights: dict[str, Any], tmp_path: Path, probe: Probe, word: str
) -> None:
    with faulty_node(tmp_path, weights, word) as (node, _):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        probe.listen(Image, f"{NODE}/debug_image")
        camera = probe.publisher(Image, "/image")
        for i in range(4):
            send_and_wait(probe, image_message(picture(), 1000 + i), heard, camera)
        if word == "debug_exit":
            wait_until(lambda: count(reports, "warned.output_fault") > 0, 20, "the count")
            assert "SystemExit" in node.log
        for transition in (4, 2, 1, 3):  # deactivate, clean up, configure, activate
            assert change_state(probe, transition)
        assert_balanced(reports)


# --- ~/segment ---


def test_many_requests_are_all_answered_and_the_surplus_with_busy(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        # rclpy's own depth of 10 would overwrite requests inside the client.
        client = probe.node.create_client(Segment, f"{NODE}/segment", qos_profile=QoSProfile(depth=30))
        assert client.wait_for_service(20)
        request = Segment.Request(image=image_message(picture(480, 640), 1000))
        answers: list[Any] = []
        done = threading.Event()

        def keep(future: Any) -> None:
            answers.append(future.result())
            if len(answers) == 30:
                done.set()

        for _ in range(30):
            client.call_async(request).add_done_callback(keep)
        assert done.wait(60), f"{len(answers)} of 30 answered"
        good = sum(answer.success for answer in answers)
        busy = sum("busy" in answer.message for answer in answers)
        assert good >= 4 and good + busy == 30
        wait_until(
            lambda: reports and int(node_counts(reports).get("segment.answered", 0)) == good, 20, "the count"
        )
        assert int(node_counts(reports).get("segment.busy", 0)) == busy
        probe.node.destroy_client(client)


def test_a_request_to_a_stuck_model_is_answered(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, weights) as (_, switch):
        switch.set("hang")
        request = Segment.Request(image=image_message(picture(), 1000))
        answer, _ = probe.call(Segment, f"{NODE}/segment", request)
        assert not answer.success and "no answer within" in answer.message
        switch.set("")
        assert probe.call(Segment, f"{NODE}/segment", request)[0].success


def test_cleaning_up_during_a_request_answers_it(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with faulty_node(tmp_path, weights) as (node, switch):
        switch.set("hang")
        client = probe.node.create_client(Segment, f"{NODE}/segment")
        assert client.wait_for_service(20)
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        future = client.call_async(Segment.Request(image=image_message(picture(), 1000)))
        wait_until(lambda: bool(reports) and float(node_counts(reports)["work_in_hand_s"]) > 0, 20, "work")
        assert change_state(probe, Transition.TRANSITION_DEACTIVATE)
        assert change_state(probe, Transition.TRANSITION_CLEANUP)
        wait_until(future.done, 30, "the answer")
        assert not future.result().success
        switch.set("")
        answer, _ = probe.call(Segment, f"{NODE}/segment", Segment.Request())
        assert "not configured" in answer.message
        assert node.process.poll() is None
        probe.node.destroy_client(client)


# --- messages ---


def test_an_image_that_cannot_be_deserialised_is_counted(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights) as node:
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        good = serialize_message(image_message(picture(), 1000))
        for data in (b"\x00", bytes(4), good[:40], b"\x00\x01\x00\x00" + b"\xff" * 60):
            camera.publish(data)
        wait_until(lambda: count(reports, "dropped.unreadable") == 4, 20, "the count")
        send_and_wait(probe, image_message(picture(), 2000), heard, camera)
        wait_until(lambda: count(reports, "processed") == 1, 20, "the good one")
        assert count(reports, "received") == 5
        assert_balanced(reports)
        assert "frame dropped (unreadable)" in node.log


def test_a_bad_stamp_affects_only_its_own_frame(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with running_node(tmp_path, weights):
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        reports = probe.listen(DiagnosticArray, "/diagnostics")
        camera = probe.publisher(Image, "/image")
        for i, stamp in enumerate([Time(sec=2**31 - 1), Time(sec=-1), Time(sec=5, nanosec=2**32 - 1)]):
            bad = image_message(picture(), 1000)
            bad.header.stamp = stamp
            camera.publish(bad)
            send_and_wait(probe, image_message(picture(), 1000 + i), heard, camera)
        unreadable = image_message(picture(), 10_000_000)
        unreadable.encoding = "no such encoding"
        for i in range(3):
            camera.publish(unreadable)
            send_and_wait(probe, image_message(picture(), 2000 + i), heard, camera)
        wait_until(lambda: count(reports, "dropped.bad_stamp") == 3, 20, "the count")
        assert count(reports, "dropped.stamp_backwards") == 0
        assert_balanced(reports)
