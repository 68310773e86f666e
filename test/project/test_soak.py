# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The running node under minutes of hostile messages, and every act that once ended it."""

import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_harness import Probe, image_message, picture, wait_until
from sensor_msgs.msg import Image
from soak import acts, health
from soak.process import WatchedNode
from soak.stream import client, counts
from soak.watcher import Watcher

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

STREAM_S = 45
STALL_S = 2.0
ACTS: dict[str, Callable[[Probe], None]] = {
    "impossible transitions": acts.ask_for_impossible_transitions,
    "parameters of an unknown type": acts.set_parameters_of_unknown_type,
    "negative time": acts.send_negative_time,
    "cleanup during a service call": acts.clean_up_during_segment,
    "many calls at once": acts.call_segment_at_once,
    "long data that is not there": acts.claim_long_data,
}
FAULTS = ("raise", "exit", "memory", "nan")
STORMS = {"transitions": 150, "segment": 150, "services": 300, "raw": 100}


@pytest.fixture(scope="module")
def nodes(
    weights: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], WatchedNode]]:
    """Gives the one node that all tests share, or after a test that ended it the next one."""
    running: list[WatchedNode] = []

    def current() -> WatchedNode:
        if not running or not running[-1].is_alive():
            parameters = {**weights, "depth.enabled": True, "always_on": True}
            running.append(WatchedNode(tmp_path_factory.mktemp("node"), parameters))
            running[-1].wait_until_active()
        return running[-1]

    yield current
    for node in running:
        node.stop()


@pytest.fixture
def watched(nodes: Callable[[], WatchedNode], probe: Probe) -> Iterator[tuple[WatchedNode, Watcher]]:
    """The node, active and serving, and its watcher; afterwards it still serves, and nothing is wrong."""
    node = nodes()
    with Watcher(node, probe) as watcher:
        yield node, watcher
        if node.is_alive():
            health.serves(node, probe)
            health.settled(node, watcher)
    assert not health.problems(node, watcher)


@pytest.mark.parametrize("act", ACTS)
def test_no_client_ends_the_node(watched: tuple[WatchedNode, Watcher], probe: Probe, act: str) -> None:
    ACTS[act](probe)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_that_fails_costs_frames_only(
    watched: tuple[WatchedNode, Watcher], probe: Probe, fault: str
) -> None:
    node, watcher = watched
    acts.fail_model(node, watcher, probe, fault)


@pytest.mark.parametrize("kind", STORMS)
def test_a_storm_of_requests_is_answered(watched: tuple[WatchedNode, Watcher], kind: str) -> None:
    with client("soak.storm", kind, "--count", str(STORMS[kind]), "--seed", "1") as storm:
        assert counts(storm)["unanswered"] == 0


def test_hostile_images_cost_themselves_only(watched: tuple[WatchedNode, Watcher]) -> None:
    _, watcher = watched
    before = watcher.sample()
    with client("soak.hostile_camera", "depth", "--seconds", str(STREAM_S), "--seed", "1") as camera:
        sent = counts(camera)
    after = watcher.sample()
    assert sent["good"] and sent["hostile"]
    assert after.processed > before.processed and after.dropped > before.dropped


def test_a_model_that_hangs_is_an_error_and_does_not_outlive_a_signal(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    with WatchedNode(tmp_path, {**weights, "always_on": True, "stall_timeout": STALL_S}) as node:
        reports: list[DiagnosticArray] = probe.listen(DiagnosticArray, "/diagnostics")
        node.fail("hang")
        camera, stamps = probe.publisher(Image, "/image"), itertools.count(1000, 100)

        def is_error() -> bool:
            camera.publish(image_message(picture(), next(stamps)))  # the first may be too early for the node
            return any(entry.level == DiagnosticStatus.ERROR for report in reports for entry in report.status)

        wait_until(is_error, 60, "an ERROR on /diagnostics")
        assert node.stop(signal.SIGTERM) == 0
