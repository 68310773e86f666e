# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The CPU's name and instruction sets, as Linux reports them in /proc/cpuinfo."""

import platform
import re
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def cpu_name() -> str:
    """Return the processor's name, or the machine's architecture where Linux reports none (Arm)."""
    return _field("model name") or platform.machine()


def cpu_flags() -> str:
    """Return the instruction sets, separated by blanks; "" where they are not known."""
    return _field("flags|Features")  # x86 | Arm


@cache
def _field(names: str) -> str:
    text = _CPUINFO.read_text() if _CPUINFO.exists() else ""
    found = re.search(rf"^(?:{names})\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else ""
