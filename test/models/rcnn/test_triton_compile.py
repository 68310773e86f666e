# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Every Triton kernel compiles without a GPU, and its variables fit into registers."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

triton = pytest.importorskip("triton", reason="the kernels need Triton, which is not installed")

from triton.backends import nvidia  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from seg_node.models.rcnn import overlap_kernel, paste_kernel, roi_align_kernel  # noqa: E402

CUOBJDUMP = Path(nvidia.__file__).parent / "bin/cuobjdump"
PASTE = {"padded": "*fp32", "origins": "*fp32", "rects": "*i64", "pixels": "*u8", "threshold": "fp32"}
OVERLAPS = {"boxes": "*fp32", "groups": "*i64", "threshold": "*fp32", "answer": "*fp16", "count": "i32"}
SIDES = {f"{side}{level}": "i32" for level in range(4) for side in ("rows", "columns")}


def align(features: str, samples: int, aligned: bool) -> tuple[Any, ...]:
    maps = {f"map{level}": features for level in range(4)}
    signature = {**maps, "regions": "*fp32", "levels": "*i64", "pooled": features, **SIDES, "channels": "i32"}
    constants = {"SIZE": 7, "SAMPLES": samples, "ALIGNED": aligned, "BLOCK": 256}
    return roi_align_kernel._align, signature, constants, 1


KERNELS: dict[str, tuple[Any, ...]] = {
    "paste by resizing": (paste_kernel._paste, PASTE, {"GRID": 30, "SAMPLE": False, "BLOCK": 1024}, 4),
    "paste by sampling": (paste_kernel._paste, PASTE, {"GRID": 30, "SAMPLE": True, "BLOCK": 1024}, 4),
    "overlaps": (overlap_kernel._overlaps, OVERLAPS, {"GROUPED": False, "BLOCK": 32}, 4),
    "overlaps in groups": (overlap_kernel._overlaps, OVERLAPS, {"GROUPED": True, "BLOCK": 32}, 4),
    "pooling, float32": align("*fp32", 2, False),
    "pooling, bfloat16": align("*bf16", 2, False),
    "pooling, float16, as many samples as cells": align("*fp16", 0, True),
}


@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize("name", KERNELS)
def test_the_kernel_compiles_without_spilling(
    name: str, capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    kernel, signature, constants, warps = KERNELS[name]
    pointers = [i for i, kind in enumerate(signature.values()) if kind.startswith("*")]
    source = ASTSource(
        kernel,
        {**signature, **dict.fromkeys(constants, "constexpr")},
        constexprs=constants,
        attrs={(i,): [["tt.divisibility", 16]] for i in pointers},  # PyTorch aligns its memory so
    )
    options = {"enable_fp_fusion": False, "num_warps": warps}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert "fma.rn" not in compiled.asm["ptx"]  # it rounds differently from the torch function
    (tmp_path / "kernel.cubin").write_bytes(compiled.asm["cubin"])
    usage = subprocess.run(
        [CUOBJDUMP, "-res-usage", tmp_path / "kernel.cubin"], capture_output=True, text=True, check=True
    )
    found = re.search(r"REG:(\d+) STACK:(\d+).* LOCAL:(\d+)", usage.stdout)
    assert found, usage.stdout
    registers, stack, local = map(int, found.groups())
    assert registers <= 128 and stack == local == 0, usage.stdout
