# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The bond with Nav2's lifecycle manager; bondpy plays the manager's end, set up as Nav2 does."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_harness import Probe, image_message, picture, running_node, send_and_wait, wait_until
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import Image

from seg_node.msg import InstanceMaskArray
from seg_node.ros.node.bond import LifecycleBond

FAULTY_NODE = Path(__file__).resolve().parents[2] / "helpers/faulty_node.py"

needs_messages = pytest.mark.skipif(
    importlib.util.find_spec("bond") is None, reason="bond is not installed; run scripts/setup"
)
needs_bondpy = pytest.mark.skipif(
    importlib.util.find_spec("bondpy") is None, reason="bondpy is not installed (it is in no wheel)"
)
WAIT = Duration(seconds=20)


@pytest.fixture
def node(probe: Probe) -> Node:
    return probe.node


@contextmanager
def managers_end() -> Iterator[Any]:
    """bondpy's bond with the node `probe`, in a node of its own, with the manager's default times."""
    from bondpy.bondpy import Bond

    manager = Probe()
    bond = Bond(manager.node, "bond", "probe")
    bond.set_heartbeat_timeout(4.0)
    bond.set_heartbeat_period(0.1)
    bond.start()
    try:
        yield bond
    finally:
        manager.stop_spinning()  # bondpy destroys what the executor waits for
        bond.shutdown()
        manager.close()


def test_without_the_messages_it_is_refused_with_the_cure(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bond", None)
    with pytest.raises(RuntimeError, match=r"bond\.enabled is true.*apt install.*bond_timeout to 0\.0"):
        LifecycleBond(node)


@needs_bondpy
def test_a_bond_is_formed_only_while_the_node_is_alive(node: Node) -> None:
    bond = LifecycleBond(node)
    with managers_end() as manager:
        assert not manager.wait_until_formed(Duration(seconds=1))
        bond.set_alive(True)
        assert manager.wait_until_formed(WAIT)
        assert not manager.wait_until_broken(Duration(seconds=5))  # longer than its heartbeat timeout
        bond.close()
        assert manager.wait_until_broken(WAIT)


@needs_bondpy
def test_a_manager_detects_a_hanging_node_and_bonds_again_when_it_recovers(node: Node) -> None:
    bond = LifecycleBond(node)
    for _ in range(3):
        bond.set_alive(True)
        with managers_end() as manager:
            assert manager.wait_until_formed(WAIT)
            bond.set_alive(True)
            bond.set_alive(False)
            assert manager.wait_until_broken(WAIT)
            bond.set_alive(False)
    bond.close()


@needs_messages
def test_the_id_is_the_nodes_name_and_every_bond_is_another_instance(node: Node) -> None:
    from bond.msg import Status

    heard: list[Any] = []
    node.create_subscription(Status, "bond", heard.append, 50)

    def instances() -> set[str]:
        return {status.instance_id for status in heard if status.active}

    bond = LifecycleBond(node)
    for count in (1, 2):
        bond.set_alive(True)
        wait_until(lambda n=count: len(instances()) == n, 20, "a heartbeat")
        bond.set_alive(False)
        wait_until(lambda: not heard[-1].active, 20, "its end")
    bond.close()
    assert {status.id for status in heard} == {"probe"}


@needs_messages
def test_a_closed_bond_leaves_nothing_behind(node: Node) -> None:
    before = list(node.publishers)
    bond = LifecycleBond(node)
    bond.set_alive(True)
    bond.close()
    assert list(node.publishers) == before


@needs_messages
def test_the_node_bonds_while_it_is_active_and_its_model_is_not_stuck(
    weights: dict[str, Any], tmp_path: Path, probe: Probe
) -> None:
    from bond.msg import Status

    def change(number: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=number))
        return bool(probe.call(ChangeState, "/seg_node/change_state", request)[0].success)

    fault = tmp_path / "fault"
    fault.touch()
    parameters = {**weights, "stall_timeout": 0.5, "bond.enabled": True, "autostart": False}
    entry = (str(FAULTY_NODE), str(fault))
    with running_node(tmp_path, parameters, until="autostart is false", entry=entry):
        assert change(Transition.TRANSITION_CONFIGURE)
        beats = probe.listen(Status, "/bond")
        assert change(Transition.TRANSITION_ACTIVATE)
        wait_until(lambda: bool(beats), 20, "a heartbeat")
        assert all(beat.active and beat.id == "seg_node" for beat in beats)
        heard = probe.listen(InstanceMaskArray, "/seg_node/instances")
        camera = probe.publisher(Image, "/image")
        send_and_wait(probe, image_message(picture(), 1000), heard, camera)
        fault.write_text("hang")
        camera.publish(image_message(picture(), 2000))
        wait_until(lambda: not beats[-1].active, 20, "the end of the bond")
        fault.write_text("")
        wait_until(lambda: beats[-1].active, 20, "another bond")
        assert change(Transition.TRANSITION_DEACTIVATE)
        wait_until(lambda: not beats[-1].active, 20, "its end")
        assert len({beat.instance_id for beat in beats if beat.active}) >= 2
