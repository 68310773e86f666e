# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""include/seg_node/decode.hpp under libFuzzer: no crash, no undefined behaviour, no unreasonable memory."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLANG = shutil.which("clang++")
SECONDS = 15
# of one allocation, and of one input
MEMORY_MB, TIMEOUT_S = 256, 10
# libFuzzer limits ru_maxrss, which a process inherits from its parent: pytest's own may be above the
# limit. The shell in between has little.
THROUGH_SHELL = ("sh", "-c", '"$@"; exit $?', "sh")


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if CLANG is None:
        pytest.skip("no clang++; apt-get install clang libclang-rt-14-dev")
    program = tmp_path_factory.mktemp("fuzz") / "fuzz_decode"
    flags = ["-std=c++17", "-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    source = ROOT / "test/cpp/fuzz_decode.cpp"
    command = [CLANG, *flags, f"-I{ROOT / 'include'}", str(source), "-o", str(program)]
    compiled = subprocess.run(command, capture_output=True, text=True)
    if "libclang_rt" in compiled.stderr:
        pytest.skip("clang++ without libFuzzer; apt-get install libclang-rt-14-dev")
    assert compiled.returncode == 0, compiled.stderr
    return program


@pytest.mark.slow
def test_no_message_breaks_the_decoder(fuzzer: Path, tmp_path: Path) -> None:
    options = {
        "seed": 1,
        "max_total_time": SECONDS,
        "timeout": TIMEOUT_S,
        "malloc_limit_mb": MEMORY_MB,
        "rss_limit_mb": 4 * MEMORY_MB,
        "max_len": 200,
    }
    command = [*THROUGH_SHELL, str(fuzzer), *(f"-{name}={value}" for name, value in options.items())]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS + 60)
    crashes = [f"{path.name}: {path.read_bytes().hex()}" for path in tmp_path.glob("*-*")]
    assert run.returncode == 0, "\n".join([*crashes, run.stderr[-3000:]])
