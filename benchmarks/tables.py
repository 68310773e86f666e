# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of benchmarks/README.md from overhead.json: `python benchmarks/tables.py DIR/overhead.json`."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

STEPS = ("transport", "take", "wait", "decode", "prepare", "assemble", "publish")
Result = dict[str, Any]


def markdown(report: dict[str, Any]) -> str:
    """Conditions and all tables for which there are measurements."""
    results: list[Result] = report["cells"]
    torchvision = [r for r in results if r["input"] == "torchvision"]
    mono8 = [r for r in results if r["encoding"] == "mono8" and not r["panoptic"]]
    base = {place(r): r for r in mono8 if r in torchvision}
    plain = list(base.values()) or results
    parts = [
        conditions(report["conditions"], results),
        table(
            "Milliseconds of each step (p50 / p95), instances as mono8",
            ["image", "objects", *STEPS, "node"],
            ([*labels(r), *(times(r, step) for step in (*STEPS, "node"))] for r in plain),
        ),
        encodings([r for r in torchvision if not r["panoptic"]]),
        panoptic([r for r in results if r["panoptic"]], base),
        inputs([r for r in mono8 if r["instances"] == 20]),
    ]
    return "\n\n".join(part for part in parts if part)


def conditions(told: dict[str, Any], results: list[Result]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    loads = sorted(r["load"] for r in results)
    return (
        f"{told['date']}; {told['cpu']}, {told['torch_threads']} torch threads, niceness {told['niceness']}, "
        f"load average {loads[0]} to {loads[-1]}; ROS 2 {told['ros']}; {versions}; {told['rate_hz']:g} Hz, "
        f"{told['frames']} frames a row after {told['warm_up']} for warm-up."
    )


def encodings(results: list[Result]) -> str:
    names = ("mono8", "bits", "rle")
    by_place: dict[tuple[int, int, int], dict[str, Result]] = {}
    for r in results:
        by_place.setdefault(place(r), {})[r["encoding"]] = r
    complete = [found for found in by_place.values() if len(found) == len(names)]
    return table(
        "The instances message by mask encoding: megabytes, and milliseconds of publish (p50)",
        ["image", "objects", *(f"{name} {unit}" for unit in ("MB", "ms") for name in names)],
        (
            [
                *labels(found["mono8"]),
                *(f"{found[name]['bytes']['instances'] / 1e6:.3f}" for name in names),
                *(f"{found[name]['ms']['publish'][0]:.2f}" for name in names),
            ]
            for found in complete
        ),
    )


def panoptic(results: list[Result], base: dict[tuple[int, int, int], Result]) -> str:
    def more(r: Result, step: str) -> str:
        return f"{r['ms'][step][0] - base[place(r)]['ms'][step][0]:.2f}"

    return table(
        "What the panoptic message adds: milliseconds (difference of the p50) and megabytes",
        ["image", "objects", "assemble", "publish", "both", "MB"],
        (
            [
                *labels(r),
                more(r, "assemble"),
                more(r, "publish"),
                f"{float(more(r, 'assemble')) + float(more(r, 'publish')):.2f}",
                f"{r['bytes']['panoptic'] / 1e6:.3f}",
            ]
            for r in results
            if place(r) in base
        ),
    )


def inputs(results: list[Result]) -> str:
    if len({r["input"] for r in results}) < 2:
        return ""
    return table(
        "Milliseconds of prepare by the network's input (p50 / p95), 20 objects",
        ["image", "input", "prepare"],
        ([labels(r)[0], r["input"], times(r, "prepare")] for r in results),
    )


def place(r: Result) -> tuple[int, int, int]:
    return r["height"], r["width"], r["instances"]


def labels(r: Result) -> list[str]:
    return [f"{r['width']}x{r['height']}", str(r["instances"])]


def times(r: Result, step: str) -> str:
    return " / ".join(f"{ms:.2f}" for ms in r["ms"][step])


def table(title: str, head: list[str], rows: Iterable[list[str]]) -> str:
    """Markdown; nothing when there are no rows."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    body = list(rows)
    lines = [f"| {' | '.join(values)} |" for values in (head, rule, *body)]
    return "\n".join([f"**{title}**", "", *lines]) if body else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="overhead.json, which benchmarks/overhead.py writes")
    path = parser.parse_args().report
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        parser.error(f"{path}: {error}")
    print(markdown(report))


if __name__ == "__main__":
    main()
