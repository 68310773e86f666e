# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The figures of a long run: what of them is a failure, and a table for docs/reliability.md.

python -m soak.report FILE prints the table of the JSON file that scripts/soak wrote.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_RSS_MB_PER_1000 = 0.2
LEAST_RECEIVED = 20_000  # frames; with fewer a slope says nothing
LEAST_INPUTS = 100_000  # of all fuzzers in a run of an hour or more
Report = Mapping[str, Any]


def failures(report: Report) -> list[str]:
    """In words; empty when the run passed."""
    found = []
    inputs = sum(outcome["inputs"] for outcome in report.get("fuzz", []))
    if "fuzz" in report and report["hours"] >= 1 and inputs < LEAST_INPUTS:
        found.append(f"only {inputs} inputs for the fuzzers")
    for outcome in report.get("fuzz", []):
        for fault in outcome["faults"]:
            found.append(f"{outcome['target']}: {fault['kind']} at {fault['place']}, input {fault['input']}")
    for run in _runs(report):
        name = _name(run)
        found += [f"{name}: {problem}" for problem in run["problems"]]
        found += [
            f"{name}: {client['unanswered']} calls without an answer"
            for client in run["clients"]
            if client.get("unanswered")
        ]
        if _is_long(run) and run["rss_slope_mb_per_1000"] >= MOST_RSS_MB_PER_1000:
            found.append(f"{name}: memory grows by {run['rss_slope_mb_per_1000']} MB per 1000 frames")
    return found


def _runs(report: Report) -> list[Report]:
    return [*report.get("streams", []), *report.get("requests", [])]


def _name(run: Report) -> str:
    return f"stream {run['stream']}" if "stream" in run else f"storm {run['storm']}"


def _is_long(run: Report) -> bool:
    return bool(run.get("samples")) and run["last"]["received"] >= LEAST_RECEIVED


def markdown(report: Report) -> str:
    """Tables of the fuzzers, the streams and the storms, and whether the run passed."""
    lines = [
        f"{report['date']}, seg_node {report['seg_node']}, seed {report['seed']}, {report['hours']:g} h.",
        "",
    ]
    if report.get("fuzz"):
        lines += ["| boundary | inputs | kept or made | refused | faults |", "|---|---|---|---|---|"]
        for outcome in report["fuzz"]:
            names = ("target", "inputs", "kind", "refused")
            lines.append(_row(*(outcome[name] for name in names), len(outcome["faults"])))
        lines.append(_row("all", sum(outcome["inputs"] for outcome in report["fuzz"]), "", "", ""))
        lines.append("")
    if report.get("streams"):
        lines += ["| stream | good | hostile | received | processed | dropped | not counted | MB per 1000 |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        for run in report["streams"]:
            lines.append(_row(run["stream"], *_sent(run), *_served(run)))
        lines.append("")
    if report.get("requests"):
        lines += ["| storm | calls | answered | refused | without answer |", "|---|---|---|---|---|"]
        for run in report["requests"]:
            names = ("sent", "answered", "refused", "unanswered")
            totals = (sum(client.get(name, 0) for client in run["clients"]) for name in names)
            lines.append(_row(run["storm"], *totals))
        lines.append("")
    failed = failures(report)
    lines += ["Passed." if not failed else f"{len(failed)} failures:", *(f"- {text}" for text in failed)]
    return "\n".join(lines) + "\n"


def _sent(run: Report) -> tuple[int, int]:
    (camera,) = run["clients"]
    return camera.get("good", 0), camera.get("hostile", 0)


def _served(run: Report) -> tuple[Any, ...]:
    last = run.get("last", {})
    counts = (last.get(name, "") for name in ("received", "processed", "dropped", "in_work"))
    return (*counts, run.get("rss_slope_mb_per_1000", ""))


def _row(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text())), end="")
