# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Counts by reason and the verdict of a report."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from diagnostic_msgs.msg import DiagnosticStatus

from seg_node.ros.node.diagnostics import FrameStatistics


def report(
    statistics: FrameStatistics, problem: str | None = None
) -> tuple[DiagnosticStatus, dict[str, str]]:
    status = statistics.status("node: frames", {"device": "cpu", "precision": "exact"}, problem)
    return status, {pair.key: pair.value for pair in status.values}


def test_received_is_processed_plus_dropped_by_reason() -> None:
    statistics = FrameStatistics()
    for _ in range(6):
        statistics.received()
    statistics.processed({"infer_ms": 10.0})
    statistics.processed({"infer_ms": 30.0})
    for reason in ("replaced_by_newer", "replaced_by_newer", "wrong_step", "no_subscriber"):
        statistics.dropped(reason)
    status, values = report(statistics)
    assert status.level == DiagnosticStatus.OK
    assert (values["received"], values["processed"], values["dropped"]) == ("6", "2", "4")
    assert (values["dropped.replaced_by_newer"], values["dropped.wrong_step"]) == ("2", "1")
    assert float(values["infer_ms"]) == 20.0
    assert values["device"] == status.hardware_id == "cpu"
    assert values["precision"] == "exact"


def test_counts_continue_and_rates_restart_with_every_report() -> None:
    statistics = FrameStatistics()
    statistics.received()
    report(statistics)
    status, values = report(statistics)
    assert values["received"] == "1" and values["input_rate_hz"] == "0.00"
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "no image received")


def test_a_faulty_frame_is_a_warning_and_a_replaced_one_is_not() -> None:
    statistics = FrameStatistics()
    statistics.received()
    statistics.dropped("replaced_by_newer")
    assert report(statistics)[0].level == DiagnosticStatus.OK
    statistics.received()
    statistics.dropped("truncated_data", bad=True)
    assert report(statistics)[0].level == DiagnosticStatus.WARN


def test_lost_images_name_the_cure() -> None:
    statistics = FrameStatistics()
    statistics.received()
    statistics.warned("lost_in_transport", 29)
    status, values = report(statistics)
    assert status.level == DiagnosticStatus.WARN and "fastdds_images.xml" in status.message
    assert values["warned.lost_in_transport"] == "29"


def test_a_problem_is_an_error_whatever_was_counted() -> None:
    status, _ = report(FrameStatistics(), "the worker thread has died: restart the node")
    assert status.level == DiagnosticStatus.ERROR and "restart" in status.message


def test_each_reason_is_logged_once_and_then_counted() -> None:
    statistics = FrameStatistics()
    assert [statistics.dropped("wrong_step") for _ in range(3)] == [True, False, False]
    assert statistics.dropped("empty_image")


class Time:
    """A steady clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_images_without_results_are_an_error_after_the_timeout() -> None:
    clock = Time()
    statistics = FrameStatistics(clock)
    for _ in range(3):
        statistics.received()
        statistics.dropped("replaced_by_newer")
        clock.now += 2.0
    status = statistics.status("frames", {"device": "cpu"}, None, stall_timeout_s=7.0)
    assert status.level == DiagnosticStatus.OK
    clock.now += 2.0
    status = statistics.status("frames", {"device": "cpu"}, None, stall_timeout_s=7.0)
    assert status.level == DiagnosticStatus.ERROR
    assert status.message == "images come, but none was served for 8 s"
    statistics.processed({})
    status = statistics.status("frames", {"device": "cpu"}, None, stall_timeout_s=7.0)
    assert status.level != DiagnosticStatus.ERROR


def test_five_faulty_frames_in_a_row_are_an_error_until_one_is_processed() -> None:
    statistics = FrameStatistics()
    levels = []
    for _ in range(6):
        statistics.received()
        statistics.dropped("failed", bad=True)
        levels.append(report(statistics)[0].level)
    assert levels == [DiagnosticStatus.WARN] * 4 + [DiagnosticStatus.ERROR] * 2
    statistics.received()
    statistics.processed({})
    assert report(statistics)[0].level == DiagnosticStatus.OK


def test_unfinished_frames_are_in_work() -> None:
    statistics = FrameStatistics()
    for _ in range(3):
        statistics.received()
    statistics.processed({})
    assert report(statistics)[1]["in_work"] == "2"
    statistics.dropped("deactivated")
    statistics.dropped("abandoned", bad=True)
    assert report(statistics)[1]["in_work"] == "0"
