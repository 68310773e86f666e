# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`source scripts/activate`: bare commands in the terminal that sourced it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".env" / os.environ.get("SEG_NODE_DISTRO", "jazzy")
# what a terminal has that has sourced nothing
CLEAN = {name: os.environ[name] for name in ("HOME", "SEG_NODE_DISTRO") if name in os.environ}
PATH = os.pathsep.join(
    place for place in os.environ["PATH"].split(os.pathsep) if not Path(place).is_relative_to(ROOT / ".env")
)

pytestmark = pytest.mark.skipif(not ENVIRONMENT.is_dir(), reason="not set up; run scripts/setup")


def run_in(shell: str, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    without_files = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}[shell]
    command = [program, *without_files, "-c", script]
    return subprocess.run(
        command, cwd=folder, env={**CLEAN, "PATH": PATH}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_bare_commands_work_in_the_terminal_that_sourced_it(shell: str, tmp_path: Path) -> None:
    script = (
        f"set -u; PS1='$ '; source '{ROOT}/scripts/activate' || exit; source '{ROOT}/scripts/activate'\n"
        'echo "$PS1|${root-}${distro-}${env-}${venv-}${site-}${profiles-}|$(command -v seg_node)"\n'
        "seg_node --version && python -c 'import rclpy, seg_node.msg; print(seg_node.__file__)'"
    )
    result = run_in(shell, script, tmp_path)
    assert result.returncode == 0 and not result.stderr, result.stderr
    prompt, version, place = result.stdout.splitlines()
    assert prompt == f"(seg_node) $ ||{ENVIRONMENT}/venv/bin/seg_node"
    assert version.startswith("seg_node ") and place == f"{ROOT}/seg_node/__init__.py"


def test_executed_instead_of_sourced_it_says_how(tmp_path: Path) -> None:
    result = run_in("bash", f"bash '{ROOT}/scripts/activate'", tmp_path)
    assert result.returncode == 2 and "source scripts/activate" in result.stderr


def test_without_scripts_setup_it_says_so_and_the_terminal_stays(tmp_path: Path) -> None:
    result = run_in(
        "bash", f"SEG_NODE_DISTRO=foxy source '{ROOT}/scripts/activate'; echo still here", tmp_path
    )
    assert "foxy is not set up; run scripts/setup" in result.stderr
    assert result.stdout == "still here\n"
