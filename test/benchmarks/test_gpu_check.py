# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/gpu-check on a machine without a GPU: it says so; a part that dies or hangs costs only itself."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
CODE = {
    "works": "def check(report, setting):\n    report.measured('a', x=1.5)\n    report.judge('b', [], n=2)\n",
    "finds": "def check(report, setting):\n    report.judge('a | b', ['x is 1, not 2'], y=float('nan'))\n",
    "raises": "def check(report, setting):\n    report.judge('a', [])\n    raise ValueError('1\\nhere')\n",
    "dies": "import os, signal\ndef check(report, setting):\n    report.judge('a', [])\n"
    "    os.kill(os.getpid(), signal.SIGSEGV)\n",
    "hangs": "import signal, subprocess, sys\nfrom pathlib import Path\ndef check(report, setting):\n"
    "    child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    "    Path(__file__).with_name('child').write_text(str(child.pid))\n    signal.pause()\n",
    "half": "import hangs\ndef check(report, setting):\n    report.measured('half', n=1)\n"
    "    hangs.check(report, setting)\n",
    "needs": "import no_such_package\n",
    "cannot": "from gpu_check.report import LeftOut\ndef check(*_):\n    raise LeftOut('no disk')\n",
    "silent": "def check(report, setting):\n    pass\n",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parts for the runner, importable here and in its processes."""
    for name, code in CODE.items():
        (tmp_path / f"{name}.py").write_text(code)
    os.mkfifo(tmp_path / "child")  # who reads it waits until the part hangs
    path = os.pathsep.join(
        (str(tmp_path), str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", ""))
    )
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return tmp_path


def run(names: str, folder: Path, in_all: float = 1000.0, seconds: float = 500.0) -> Any:
    from gpu_check.parts import Part
    from gpu_check.run import run_parts
    from gpu_check.stop import Stop

    parts = [Part(name, name, seconds) for name in names.split()]
    return list(run_parts(parts, folder, in_all, "gpu", Stop()))


def test_every_part_runs_whatever_the_ones_before_it_do(modules: Path) -> None:
    rows = run("raises dies needs cannot silent works", modules)
    assert [(row.part, row.check, row.outcome) for row in rows] == [
        ("raises", "a", "ok"),
        ("raises", "all", "failed"),
        ("dies", "a", "ok"),
        ("dies", "all", "failed"),
        ("needs", "all", "left out"),
        ("cannot", "all", "left out"),
        ("silent", "all", "failed"),
        ("works", "a", "measured"),
        ("works", "b", "ok"),
    ]
    reasons = [row.reason for row in rows if row.reason]
    assert reasons == [
        "ended with exit code 1: here",
        "ended by SIGSEGV",
        "needs the package no_such_package, which is not installed",
        "no disk",
        "ended without a result",
    ]


def test_a_part_that_hangs_is_ended_with_its_processes_and_the_next_runs(modules: Path) -> None:
    from gpu_check.parts import Part
    from gpu_check.run import run_parts
    from gpu_check.stop import Stop

    parts = [Part("hangs", "hangs", 0.0), Part("works", "works", 500.0)]
    hanging, *found = run_parts(parts, modules, 1000.0, "gpu", Stop())
    assert (hanging.outcome, hanging.reason) == ("failed", "not finished within 0 s")
    assert [row.outcome for row in found] == ["measured", "ok"]


def test_nothing_of_an_ended_part_stays(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_check import run as runner
    from gpu_check.parts import Part
    from gpu_check.stop import Stop

    children = []

    class Patient(subprocess.Popen):  # type: ignore[type-arg]
        def wait(self, timeout: float | None = None) -> int:
            """Waits until the part hangs instead of for a time."""
            if timeout is None:
                return super().wait()
            children.append(int((modules / "child").read_text()))
            raise subprocess.TimeoutExpired("part", timeout)

    monkeypatch.setattr(runner.subprocess, "Popen", Patient)
    (row,) = runner.run_part(Part("hangs", "hangs", 30.0), modules, 30.0, "gpu", Stop())
    assert row.reason == "not finished within 30 s"
    assert not is_running(children[0])


def is_running(pid: int) -> bool:
    """Whether the process is there; one that has ended and waits for its parent is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_parts_without_time_are_named_with_the_command_that_runs_them(modules: Path) -> None:
    rows = run("works cannot", modules, in_all=0.0)
    assert [(row.outcome, row.reason) for row in rows] == [
        ("left out", "no time left: scripts/gpu-check --parts works"),
        ("left out", "no time left: scripts/gpu-check --parts cannot"),
    ]


def test_results_are_a_table_and_json(modules: Path) -> None:
    from gpu_check.table import table, write_json

    rows = run("works finds", modules)
    lines = table(rows).splitlines()
    assert lines[0] == "| part | check | outcome | figures | why |"
    assert len(lines) == 5 and {line.count("|") for line in lines} == {6}
    assert lines[2] == "| works | a | measured | x 1.5 |  |"
    assert lines[4] == "| finds | a / b | failed | y nan | x is 1, not 2 |"
    write_json(rows, modules / "out.json", 3.21, "gpu")
    content = json.loads((modules / "out.json").read_text())
    assert content["seconds"] == 3.2 and content["mode"] == "gpu"
    assert torch.__version__.startswith(content["versions"]["torch"]) and content["processor"]
    assert [row["outcome"] for row in content["rows"]] == ["measured", "ok", "failed"]
    assert content["rows"][2]["figures"] == {"y": "nan"}  # JSON has none
    assert content["rows"][0]["figures"] == {"x": 1.5}


def test_a_row_that_was_cut_off_is_left_out(modules: Path) -> None:
    from gpu_check.report import Report, read_rows

    file = modules / "rows.jsonl"
    assert read_rows(file) == []
    Report("x", file).measured("a", n=1)
    whole = file.read_text()
    file.write_text(whole + whole[: len(whole) // 2])
    assert [row.check for row in read_rows(file)] == ["a"]


def test_parts_are_chosen_by_name_or_group(modules: Path) -> None:
    from gpu_check.parts import FAMILIES, PARTS, choose

    assert [part.name for part in choose("memory,capture")] == ["memory", *(f"capture.{f}" for f in FAMILIES)]
    assert [part.name for part in choose("capture.yolact")] == ["capture.yolact"]
    with pytest.raises(ValueError, match=r"there is no part 'x'; use environment, capture\.torchvision"):
        choose("x")
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_every_part_can_be_imported_without_a_gpu(modules: Path) -> None:
    """On the machines with a GPU it is too late for a wrong name."""
    from importlib import import_module

    from gpu_check.parts import PARTS

    for part in PARTS:
        assert callable(import_module(part.module).check), part.name


def command(*arguments: str, python: str = sys.executable) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHON": python}
    return subprocess.run(
        [str(ROOT / "scripts/gpu-check"), *arguments], capture_output=True, text=True, env=environment
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_one_line_says_so(tmp_path: Path) -> None:
    done = command("--out", str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
    assert "finds no usable CUDA GPU: check nvidia-smi" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_the_packages_is_refused() -> None:
    done = command(python="/nowhere/python")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "/nowhere/python cannot import torch, torchvision and seg_node" in done.stderr


def test_a_wrong_part_is_refused() -> None:
    done = command("--parts", "x")
    assert done.returncode == 2 and "there is no part 'x'" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_command_runs_on_the_emulated_device(tmp_path: Path) -> None:
    pytest.importorskip("pretend_cuda")
    done = command("--pretend", "--parts", "environment,capture.yolact,memory", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((tmp_path / "gpu_check.json").read_text())
    outcomes = [(row["part"], row["check"], row["outcome"]) for row in content["rows"]]
    assert outcomes == [
        ("environment", "device", "measured"),
        ("environment", "all", "left out"),
        *(("capture.yolact", precision, "ok") for precision in ("exact", "fp32", "bf16", "fp16")),
        ("memory", "all", "left out"),
    ]
    assert "| capture.yolact | fp16 | ok |" in done.stdout
    assert content["mode"] == "pretend"


CHOSEN = """
import sys
import gpu_check.__main__ as command
from gpu_check.parts import Part

command._missing_gpu = lambda: ""
command.choose = lambda names: tuple(Part(name, name, 500.0) for name in names.split(","))
sys.exit(command.main(["--parts", sys.argv[1]]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_command_stops_the_part_that_runs_and_writes_the_rows_so_far(
    modules: Path, number: signal.Signals
) -> None:
    """The part has a process group of its own, which a terminal's or supervisor's signal does not reach."""
    command = [sys.executable, "-c", CHOSEN, "finds,half,works"]
    process = subprocess.Popen(
        command, cwd=modules, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    child = int((modules / "child").read_text())
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert not is_running(child)
    assert "Traceback" not in errors and f"stopped by {number.name}" in errors.splitlines()[-1]
    rows = json.loads((modules / "gpu_check.json").read_text())["rows"]
    assert [(row["part"], row["check"], row["outcome"], row["reason"]) for row in rows] == [
        ("finds", "a | b", "failed", "x is 1, not 2"),
        ("half", "half", "measured", ""),
        ("half", "all", "left out", f"stopped by {number.name}"),
    ]
    assert "| half | half | measured | n 1 |  |" in output


def test_a_part_that_starts_while_a_signal_arrives_is_killed(modules: Path) -> None:
    from gpu_check.parts import Part
    from gpu_check.run import run_parts
    from gpu_check.stop import Stop

    stop = Stop()
    stop(signal.SIGINT)
    with subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True
    ) as part:
        stop.watch(part)
        assert part.wait(60) == -signal.SIGKILL
    assert list(run_parts([Part("works", "works", 500.0)], modules, 1000.0, "gpu", stop)) == []


@pytest.mark.parametrize(
    ("parts", "code"), [("works", 0), ("works,cannot", 0), ("works,finds", 1), ("cannot", 1)]
)
def test_the_exit_code_is_0_only_when_something_was_checked(modules: Path, parts: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", CHOSEN, parts], cwd=modules, capture_output=True, text=True)
    assert done.returncode == code
    assert ("nothing was checked" in done.stderr) == (parts == "cannot")
