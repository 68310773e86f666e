# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The long run of `scripts/soak`: fuzzers, hostile streams, storms of requests; a JSON file and a table."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fuzz.target import target_names
from ros_domain import free_domain
from thin_torchvision import write_thin_checkpoint

from seg_node import __version__
from soak.hostile_camera import KINDS
from soak.process import kill_group, start_module
from soak.report import failures, markdown
from soak.stream import run_clients

FUZZ_INPUTS = 100_000  # of one target, at most
REQUESTS = {"transitions": 5000, "segment": 10_000, "services": 5000, "raw": 2000}
FULL_RATE_HZ = 30


def main() -> int:
    """Returns the exit code: 1 when something failed."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="of streams (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("soak.json"), help="the table is beside it")
    parser.add_argument("--parts", nargs="*", choices=("fuzz", "streams", "requests"), help="only these")
    arguments = parser.parse_args()
    domain = free_domain()  # held until the end
    os.environ["ROS_DOMAIN_ID"] = str(domain.number)
    parts = arguments.parts or ["fuzz", "streams", "requests"]
    report: dict[str, Any] = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seg_node": __version__,
        "python": platform.python_version(),
        "hours": arguments.hours,
        "seed": arguments.seed,
    }
    with _parameters() as parameters, tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        if "fuzz" in parts:
            report["fuzz"] = _fuzz(folder, arguments.hours, arguments.seed)
        if "streams" in parts:
            report["streams"] = _streams(folder, parameters, arguments.hours, arguments.seed)
        if "requests" in parts:
            report["requests"] = _requests(folder, parameters, min(1.0, arguments.hours), arguments.seed)
    report["failures"] = failures(report)
    arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    arguments.json.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))
    return 1 if report["failures"] else 0


@contextmanager
def _parameters() -> Iterator[dict[str, Any]]:
    """Of a node with a fast, lively model that always answers."""
    with tempfile.TemporaryDirectory(prefix="soak-model-") as folder:
        weights, config = write_thin_checkpoint(Path(folder))
        yield {
            "model.weights": str(weights),
            "model.config": str(config),
            "score_threshold": 0.05,
            "device": "cpu",
            "always_on": True,
        }


def _fuzz(folder: Path, hours: float, seed: int) -> list[dict[str, Any]]:
    """A third of the time, shared by all targets."""
    seconds = hours * 3600 / 3 / len(target_names())
    file = folder / "fuzz.json"
    limits = ("--inputs", str(FUZZ_INPUTS), "--seconds", str(seconds))
    process = start_module("fuzz", "--seed", str(seed), *limits, "--json", str(file))
    try:
        process.wait()
    finally:
        kill_group(process)
    outcomes: list[dict[str, Any]] = json.loads(file.read_text())
    return outcomes


def _streams(folder: Path, parameters: dict[str, Any], hours: float, seed: int) -> list[dict[str, Any]]:
    """A third of the hours each: raw, compressed, and raw with depth."""
    found = []
    for kind in KINDS:
        own = {
            **parameters,
            "depth.enabled": kind == "depth",
            "image_transport": "compressed" if kind == "compressed" else "raw",
        }
        times = ("--seconds", str(hours * 3600 / len(KINDS)), "--rate", str(FULL_RATE_HZ))
        camera = ("soak.hostile_camera", kind, *times, "--seed", str(seed))
        found.append({"stream": kind, **run_clients(folder / kind, own, [camera])})
        _show(found[-1])
    return found


def _requests(folder: Path, parameters: dict[str, Any], part: float, seed: int) -> list[dict[str, Any]]:
    """Every storm with a node of its own, by two clients; the last one with all of them."""
    found = []
    storms = {
        kind: [
            ("soak.storm", kind, "--count", str(max(1, int(count * part / 2))), "--seed", str(seed + client))
            for client in range(2)
        ]
        for kind, count in REQUESTS.items()
    }
    storms["all"] = [
        ("soak.storm", kind, "--count", str(max(1, int(count * part / 10))), "--seed", str(seed + 2))
        for kind, count in REQUESTS.items()
    ]
    for kind, clients in storms.items():
        found.append({"storm": kind, **run_clients(folder / f"storm-{kind}", parameters, clients)})
        _show(found[-1])
    return found


def _show(figures: dict[str, Any]) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    sys.exit(main())
