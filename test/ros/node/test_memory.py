# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The limit of the process's memory; each test's program runs in a process of its own."""

import subprocess
import sys

PROGRAM = """
import sys
from seg_node.ros.common.memory import limit_memory
try:
    limit_memory({megabytes})
    data = bytearray({take} << 20)
    print("taken")
except (MemoryError, ValueError) as error:
    print(type(error).__name__, error)
"""


def outcome(megabytes: int, take: int) -> str:
    program = PROGRAM.format(megabytes=megabytes, take=take)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_an_allocation_beyond_the_limit_fails_in_the_process() -> None:
    assert outcome(2000, 3000).startswith("MemoryError")
    assert outcome(2000, 100) == "taken\n"


def test_zero_means_no_limit_and_the_default_leaves_room() -> None:
    assert outcome(0, 200) == "taken\n"
    assert outcome(-1, 100) == "taken\n"
    assert outcome(-1, 1 << 30).startswith("MemoryError")


def test_a_limit_below_the_memory_in_use_is_refused_by_name() -> None:
    assert outcome(1, 0).startswith("ValueError memory_limit is 1 MB")
