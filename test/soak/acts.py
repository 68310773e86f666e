# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Single acts against a running node, each of which once ended it. They raise AssertionError."""

from contextlib import suppress
from typing import Any

from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_harness import NODE, Probe, image_message, picture, wait_until
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from seg_node.srv import Segment
from soak.client import Client
from soak.process import WatchedNode
from soak.raw_request import RawRequests
from soak.watcher import Watcher

UNKNOWN_TRANSITION, UNKNOWN_TYPE = 211, 99
SIMULTANEOUS = 30
FAILING_FRAMES = 5
ACTIVE_S = 60.0


def state(probe: Probe) -> int:
    answer, _ = probe.call(GetState, f"{NODE}/get_state", GetState.Request())
    return int(answer.current_state.id)


def change_state(probe: Probe, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    answer, _ = probe.call(ChangeState, f"{NODE}/change_state", request)
    return bool(answer.success)


def make_active(probe: Probe) -> None:
    """From whatever state the act left; a transition that another client began is waited for."""

    def is_active() -> bool:
        now = state(probe)
        if now == State.PRIMARY_STATE_UNCONFIGURED:
            change_state(probe, Transition.TRANSITION_CONFIGURE)
        elif now == State.PRIMARY_STATE_INACTIVE:
            change_state(probe, Transition.TRANSITION_ACTIVATE)
        return now == State.PRIMARY_STATE_ACTIVE

    wait_until(is_active, ACTIVE_S, "the active state")


def ask_for_impossible_transitions(probe: Probe) -> None:
    """Not valid in the active state, and one that no state has: each is answered with failure."""
    for transition in (
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
        UNKNOWN_TRANSITION,
        0,
    ):
        assert not change_state(probe, transition)


def set_parameters_of_unknown_type(probe: Probe) -> None:
    value = ParameterValue(type=UNKNOWN_TYPE)
    values = [Parameter(name=name, value=value) for name in ("score_threshold", "nothing")]
    for service in (SetParameters, SetParametersAtomically):
        name = "set_parameters" if service is SetParameters else "set_parameters_atomically"
        # what the middleware answers to it, if anything, is not the node's to choose
        with suppress(AssertionError):
            probe.call(service, f"{NODE}/{name}", service.Request(parameters=values), timeout_s=5.0)


def send_negative_time(probe: Probe) -> None:
    """On /clock, while the node follows it."""
    assert probe.set_parameter("use_sim_time", True)[0].successful
    clock = probe.publisher(Clock, "/clock")
    for seconds in (100, -5, -(1 << 31), 101):
        clock.publish(Clock(clock=Time(sec=seconds)))
        state(probe)  # only the newest time is kept: it must be read before the next one
    assert probe.set_parameter("use_sim_time", False)[0].successful
    probe.node.destroy_publisher(clock)


def clean_up_during_segment(probe: Probe, rounds: int = 5) -> None:
    """The model is taken away while ~/segment uses it; every call is answered."""
    for _ in range(rounds):
        client = Client(probe, at_once=8)
        for _ in range(4):
            client.call(Segment, f"{NODE}/segment", segment_request())
        change_state(probe, Transition.TRANSITION_DEACTIVATE)
        change_state(probe, Transition.TRANSITION_CLEANUP)
        assert client.wait() == 0, "calls of ~/segment without an answer"
        make_active(probe)


def call_segment_at_once(probe: Probe) -> None:
    """Many calls at one time: each is answered, with a result or with a refusal."""
    client = Client(probe, at_once=SIMULTANEOUS)
    for _ in range(SIMULTANEOUS):
        client.call(Segment, f"{NODE}/segment", segment_request())
    assert client.wait() == 0, "calls of ~/segment without an answer"


def segment_request() -> Any:
    return Segment.Request(image=image_message(picture(60, 80), 1), panoptic=True)


def claim_long_data(probe: Probe) -> None:
    """Requests of some hundred bytes that claim megabytes to gigabytes."""
    publisher = RawRequests(probe.node, Segment, f"{NODE}/segment")
    wait_until(lambda: publisher.matched() > 0, 30, "the service")
    cdr = serialize_message(segment_request())
    place = cdr.find((60 * 80 * 3).to_bytes(4, "little"))
    for claimed in (100_000_000, 900_000_000, (1 << 32) - 1):
        publisher.send(cdr[:place] + claimed.to_bytes(4, "little") + cdr[place + 4 : place + 100])
    publisher.close()


def fail_model(node: WatchedNode, watcher: Watcher, probe: Probe, fault: str) -> None:
    """While the model fails, `~/segment` says so and every image is counted; then it works again."""
    camera = probe.publisher(Image, "/image")
    before = watcher.sample().received
    node.fail(fault)
    answer, _ = probe.call(Segment, f"{NODE}/segment", segment_request())
    assert not answer.success and answer.message
    now = probe.node.get_clock().now().nanoseconds // 1_000_000
    for index in range(FAILING_FRAMES):
        camera.publish(image_message(picture(), now + index))
    wait_until(
        lambda: watcher.sample().received > before and watcher.sample().in_work == 0, 30, "the balance"
    )
    node.fail("")
    probe.node.destroy_publisher(camera)
