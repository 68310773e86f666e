# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Starts the node of faulty_node.py, switches its fault, and reads what it reports."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_harness import NODE, NodeProcess, Probe, count, running_node, wait_until

FAULTY_NODE = str(Path(__file__).with_name("faulty_node.py"))
ERROR, WARN, OK = DiagnosticStatus.ERROR, DiagnosticStatus.WARN, DiagnosticStatus.OK


class Switch:
    """The fault of a faulty node."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set("")

    def set(self, word: str) -> None:
        draft = self.file.with_suffix(".new")
        draft.write_text(word)
        draft.replace(self.file)


@contextmanager
def faulty_node(
    folder: Path, parameters: dict[str, Any], word: str = "", until: str = "active, waiting for images"
) -> Iterator[tuple[NodeProcess, Switch]]:
    switch = Switch(folder / "fault")
    switch.set(word)
    with running_node(folder, parameters, until=until, entry=(FAULTY_NODE, str(switch.file))) as node:
        yield node, switch


def change_state(probe: Probe, number: int, label: str = "") -> bool:
    request = ChangeState.Request(transition=Transition(id=number, label=label))
    return bool(probe.call(ChangeState, f"{NODE}/change_state", request)[0].success)


def level(reports: list[DiagnosticArray], index: int = 0) -> tuple[bytes, str]:
    """Of the newest report; nothing before the first one."""
    if not reports:
        return b"", ""
    status = reports[-1].status[index]
    return status.level, status.message


def assert_balanced(reports: list[DiagnosticArray]) -> None:
    wait_until(lambda: bool(reports) and count(reports, "in_work") == 0, 20, "the end of the work")
    assert count(reports, "received") == count(reports, "processed") + count(reports, "dropped")
