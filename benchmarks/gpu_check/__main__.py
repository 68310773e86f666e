# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checks seg_node on a CUDA GPU in one run of at most eight minutes: no ROS, no network.

Prints a table and writes gpu_check.json, also of the checks so far when stopped. Exit code: 0 when nothing
failed, 1 when a check failed or all were left out, 2 for wrong arguments, 3 without a usable GPU, 130 when
stopped by SIGINT, 143 by SIGTERM.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from gpu_check.parts import PARTS, Part, choose
from gpu_check.report import Row
from gpu_check.run import run_parts
from gpu_check.stop import Stop

NO_GPU = 3


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    stop = Stop()
    stop.install()
    # imports PyTorch for seconds, in which a signal must not end in a traceback
    from gpu_check.table import table, write_json

    mode = "pretend" if options.pretend else "gpu"
    if mode == "gpu" and (problem := _missing_gpu()):
        print(f"gpu-check: {problem}", file=sys.stderr)
        return NO_GPU
    options.out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in run_parts(options.parts, Path(folder), options.seconds, mode, stop):
            print(f"[{row.part}] {row.check}: {row.outcome}", file=sys.stderr, flush=True)
            rows.append(row)
    result = options.out / "gpu_check.json"
    write_json(rows, result, time.monotonic() - start, mode)
    failed = sum(row.outcome == "failed" for row in rows)
    left_out = sum(row.outcome == "left out" for row in rows)
    print(f"{table(rows)}\n\n{len(rows)} checks, {failed} failed, {left_out} left out; {result}")
    if stop.number:
        print(f"gpu-check: {stop.reason}; the table and {result} hold the checks so far", file=sys.stderr)
        return 128 + stop.number
    if left_out == len(rows):
        print("gpu-check: nothing was checked, see why in the table", file=sys.stderr)
    return 1 if failed or left_out == len(rows) else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "scripts/gpu-check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(part.name for part in PARTS)
    parser.add_argument(
        "--parts", type=_parts, default=PARTS, metavar="A,B", help=f"only these parts, of: {names}"
    )
    parser.add_argument(
        "--seconds", type=float, default=470, metavar="S", help="for all parts together (default: 470)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="for gpu_check.json (default: here)"
    )
    parser.add_argument(
        "--pretend",
        action="store_true",
        help="on the CUDA device that the tests emulate, to try the command; its times mean nothing",
    )
    return parser.parse_args(arguments)


def _parts(names: str) -> tuple[Part, ...]:
    try:
        return choose(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _missing_gpu() -> str:
    """Why there is none to check; empty when there is one."""
    import torch

    if torch.cuda.is_available():
        return ""
    return (
        f"PyTorch {torch.__version__} finds no usable CUDA GPU: check nvidia-smi, and that this PyTorch is "
        "built for CUDA; another Python is chosen with PYTHON=…"
    )


if __name__ == "__main__":
    sys.exit(main())
