# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The processor's name and instruction sets, from /proc/cpuinfo."""

import platform
from pathlib import Path

import pytest

from seg_node.inference import processor

X86 = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: fpu amx_bf16 avx2\n\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n\n"


@pytest.mark.parametrize(
    ("text", "name", "flags"),
    [
        (X86 * 2, "Intel(R) Xeon(R)", "fpu amx_bf16 avx2"),
        (ARM, platform.machine(), "fp asimd"),
        ("", platform.machine(), ""),
        (None, platform.machine(), ""),
    ],
)
def test_name_and_instruction_sets_are_those_of_the_first_core(
    text: str | None, name: str, flags: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(processor, "_CPUINFO", file)
    processor._field.cache_clear()
    try:
        assert (processor.cpu_name(), processor.cpu_flags()) == (name, flags)
    finally:
        processor._field.cache_clear()
