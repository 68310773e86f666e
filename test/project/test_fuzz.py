# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The fuzzers: that the driver sees every kind of fault, and that no boundary has one."""

import json
import mmap
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz.driver import Outcome, explore, replay
from fuzz.target import CORPUS, Input, Target, input_from_json, input_to_json, target_names

TEST = Path(__file__).parents[1]
SECONDS = 3  # of each target, after the kept inputs
MEGABYTE = 1 << 20


def planted(run: Callable[[Input, Path], Any], **limits: Any) -> Outcome:
    """Outcome of a boundary that may raise KeyError and that does this to the second of three inputs."""

    def run_second(fields: Input, folder: Path) -> None:
        if fields["number"] == 1:
            run(fields, folder)

    inputs = [{"number": number} for number in range(3)]
    target = Target("planted", lambda random: inputs[0], run_second, (KeyError,), **limits)
    return replay(target, inputs)


def kinds(outcome: Outcome) -> list[str]:
    assert outcome.inputs == 3  # the run went on behind the fault
    return [fault.kind for fault in outcome.faults.values()]


def _raise(error: BaseException) -> None:
    raise error


def _segmentation_fault() -> None:
    import ctypes

    ctypes.string_at(0)


def _take_memory(count: int) -> None:
    """Take fresh pages: the heap of a long test run has free ones that are in memory already."""
    with mmap.mmap(-1, count) as region:
        for start in range(0, count, mmap.PAGESIZE):
            region[start] = 1


def _spin() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (lambda fields, folder: _raise(ValueError("undocumented")), "ValueError"),
        (lambda fields, folder: _raise(SystemExit(0)), "SystemExit"),
        (lambda fields, folder: _segmentation_fault(), "SIGSEGV"),
        (lambda fields, folder: _spin(), "cpu"),
        (lambda fields, folder: _take_memory(300 * MEGABYTE), "memory"),
        (lambda fields, folder: bytearray(1 << 50), "MemoryError"),
        (lambda fields, folder: subprocess.run(["true"]), "forbidden subprocess.Popen"),
        (lambda fields, folder: socket.create_connection(("127.0.0.1", 9)), "forbidden socket.getaddrinfo"),
        (lambda fields, folder: (folder.parent / "beside").write_text(""), "forbidden open"),
        (lambda fields, folder: (folder / ".." / "beside").mkdir(), "forbidden os.mkdir"),
    ],
)
def test_the_driver_sees(act: Callable[[Input, Path], Any], kind: str) -> None:
    assert kinds(planted(act, cpu_s=1, memory_mb=200)) == [kind]


def test_a_forbidden_act_is_seen_though_the_boundary_hides_it() -> None:
    def hide(fields: Input, folder: Path) -> None:
        try:
            subprocess.run(["true"])
        except BaseException as error:
            raise KeyError from error

    assert kinds(planted(hide)) == ["forbidden subprocess.Popen"]


def test_a_documented_exception_and_a_file_in_the_folder_are_no_faults() -> None:
    def refuse(fields: Input, folder: Path) -> None:
        (folder / "file").write_text("")
        raise KeyError

    outcome = planted(refuse)
    assert (outcome.inputs, outcome.refused, outcome.faults) == (3, 1, {})


def test_what_waits_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.supervise.HANG_S", 1.0)
    monkeypatch.setattr("fuzz.supervise.HANG_FACTOR", 0.0)
    assert kinds(planted(lambda fields, folder: time.sleep(10_000))) == ["hang"]


def test_equal_seeds_make_equal_inputs() -> None:
    seen: list[list[bytes]] = []
    for seed in (1, 1, 2):
        target = Target("t", lambda random: {"data": random.randbytes(9)}, lambda fields, folder: None, ())
        explore(target, seed, inputs=1, seconds=60)
        seen.append([target.make(Random(f"t {seed} {index}"))["data"] for index in range(3)])
    assert seen[0] == seen[1] != seen[2]


def test_an_input_survives_its_way_through_json() -> None:
    value: Input = {"data": b"\0\xff", "number": 1 << 70, "list": [1.5, None, "ä", {"a": b""}]}
    assert input_from_json(input_to_json(value)) == value


def test_files_of_the_corpus_are_small() -> None:
    files = list(CORPUS.glob("*/*"))
    assert files and all(file.stat().st_size < 2048 for file in files)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Of all targets, from a process of its own: a fork would not survive the threads of other tests."""
    file = tmp_path_factory.mktemp("fuzz") / "outcomes.json"
    command = [sys.executable, "-m", "fuzz", "--seconds", str(SECONDS), "--json", str(file)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=TEST, env=environment, capture_output=True, text=True)
    assert file.exists(), run.stdout + run.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for outcome in json.loads(file.read_text()):
        found.setdefault(outcome["target"], []).append(outcome)
    return found


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", target_names())
def test_no_input_breaks(outcomes: dict[str, list[dict[str, Any]]], name: str) -> None:
    if name not in outcomes:
        pytest.skip(f"a library is missing that the boundary {name} needs")
    assert sum(outcome["inputs"] for outcome in outcomes[name])
    assert [fault for outcome in outcomes[name] for fault in outcome["faults"]] == []
