# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Each frame in the worker's hands is counted once, whatever becomes of it."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from sensor_msgs.msg import Image

from seg_node.errors import Refused
from seg_node.ros.node.diagnostics import FrameStatistics
from seg_node.ros.node.faults import Faults
from seg_node.ros.node.frames_in_hand import FramesInHand
from seg_node.ros.node.inputs import Arrival


class Log:
    """Keeps what a ROS logger would print."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.warning = self.warnings.append
        self.error = self.errors.append


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def statistics() -> FrameStatistics:
    return FrameStatistics()


@pytest.fixture
def in_hand(statistics: FrameStatistics, log: Log) -> FramesInHand:
    return FramesInHand(statistics, Faults(statistics, log))  # type: ignore[arg-type]


def taken(in_hand: FramesInHand, number: int) -> list[Arrival]:
    arrivals = [Arrival(Image(), at=0.0) for _ in range(number)]
    for arrival in arrivals:
        in_hand.add(arrival)
    return arrivals


def counts(statistics: FrameStatistics) -> dict[str, str]:
    status = statistics.status("node: frames", {"device": "cpu"}, None)
    kept = ("processed", "dropped")
    return {pair.key: pair.value for pair in status.values if pair.key.startswith(kept)}


def test_a_refused_frame_counts_under_its_reason_without_a_traceback(
    in_hand: FramesInHand, statistics: FrameStatistics, log: Log
) -> None:
    (arrival,) = taken(in_hand, 1)
    in_hand.failed(arrival, "/image", Refused("roi_outside", "roi is outside: choose another"))
    assert counts(statistics) == {"processed": "0", "dropped": "1", "dropped.roi_outside": "1"}
    assert log.warnings == ["frame dropped (roi_outside): /image: roi is outside: choose another"]
    assert not log.errors


@pytest.mark.parametrize("error", [ValueError("no such layer"), KeyError("layer"), SystemExit(3)])
def test_an_unforeseen_error_counts_as_failed_with_its_traceback(
    error: BaseException, in_hand: FramesInHand, statistics: FrameStatistics, log: Log
) -> None:
    (arrival,) = taken(in_hand, 1)
    in_hand.failed(arrival, "/image", error)
    assert counts(statistics) == {"processed": "0", "dropped": "1", "dropped.failed": "1"}
    (line,) = log.errors
    assert line.startswith(f"frame dropped (failed): /image: {type(error).__name__}: {error}\n")


def test_an_abandoned_frame_is_not_counted_again_when_the_worker_recovers(
    in_hand: FramesInHand, statistics: FrameStatistics, log: Log
) -> None:
    late, failing, unwanted = taken(in_hand, 3)
    assert late in in_hand
    assert in_hand.abandon() == 3
    assert late not in in_hand
    in_hand.processed(late, {"infer_ms": 1.0})
    in_hand.failed(failing, "/image", ValueError("too late"))
    in_hand.unwanted(unwanted, "disabled")
    assert counts(statistics) == {"processed": "0", "dropped": "3", "dropped.abandoned": "3"}
    assert not log.errors


def test_frames_without_a_fault_are_counted_by_outcome(
    in_hand: FramesInHand, statistics: FrameStatistics
) -> None:
    processed, unwanted = taken(in_hand, 2)
    in_hand.processed(processed, {"infer_ms": 1.0})
    in_hand.unwanted(unwanted, "no_subscriber")
    assert counts(statistics) == {"processed": "1", "dropped": "1", "dropped.no_subscriber": "1"}
    assert in_hand.abandon() == 0
