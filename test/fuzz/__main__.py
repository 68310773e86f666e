# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Command line of the fuzzers; see `scripts/fuzz --help`."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz.driver import Outcome, explore, made_input, replay
from fuzz.limits import give_memory_back
from fuzz.target import Target, input_from_json, input_to_json, kept_inputs, load_target, target_names


def main() -> int:
    """Returns the exit code: 1 when a fault was found."""
    arguments = _parser().parse_args()
    give_memory_back()
    outcomes: list[dict[str, Any]] = []
    for name in arguments.targets or target_names():
        try:
            target = load_target(name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("seg_node."):
                raise
            print(f"{name}: skipped, {error}")
            continue
        for kind, outcome in _run(target, arguments):
            outcomes.append(as_json(kind, outcome))
            _print(kind, outcome, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(outcomes, indent=2) + "\n")
    return 1 if any(outcome["faults"] for outcome in outcomes) else 0


def _run(target: Target, arguments: argparse.Namespace) -> Iterator[tuple[str, Outcome]]:
    """The one input that was asked for, or the kept inputs and then made ones; with what they are."""
    if arguments.file:
        yield "file", replay(target, [input_from_json(arguments.file.read_text())])
    elif arguments.index is not None:
        yield "made", explore(target, arguments.seed, 1, float("inf"), arguments.index)
    else:
        if kept := kept_inputs(target):
            yield "kept", replay(target, kept)
        yield "made", explore(target, arguments.seed, arguments.inputs, arguments.seconds)


def _print(kind: str, outcome: Outcome, arguments: argparse.Namespace) -> None:
    print(
        f"{outcome.target}: {outcome.inputs} {kind} inputs, {outcome.refused} refused, "
        f"{len(outcome.faults)} faults, {outcome.seconds:.0f} s",
        flush=True,
    )
    for key, fault in outcome.faults.items():
        print(f"  {fault.kind} at {fault.place}, {outcome.counts[key]} times, first input {fault.index}")
        print(f"    {fault.text}")
        if arguments.keep and kind == "made":
            _keep(outcome.target, fault.index, fault.kind, arguments)


def _keep(name: str, index: int, kind: str, arguments: argparse.Namespace) -> None:
    """The input in a file that `--file` runs again; a small one may become part of the corpus."""
    folder = arguments.keep / name
    folder.mkdir(parents=True, exist_ok=True)
    value = made_input(load_target(name), arguments.seed, index)
    (folder / f"{kind.replace(' ', '-')}-{index}.json").write_text(input_to_json(value) + "\n")


def as_json(kind: str, outcome: Outcome) -> dict[str, Any]:
    """The outcome as `--json` writes it; kind: of its inputs."""
    faults = [
        {"kind": fault.kind, "place": fault.place, "input": fault.index, "text": fault.text, "count": count}
        for fault, count in zip(outcome.faults.values(), outcome.counts.values(), strict=True)
    ]
    return {
        "target": outcome.target,
        "kind": kind,
        "inputs": outcome.inputs,
        "refused": outcome.refused,
        "seconds": round(outcome.seconds, 1),
        "faults": faults,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz", description="Pass hostile inputs to seg_node's boundaries and list the faults."
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(target_names())}; all")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    parser.add_argument("--inputs", type=int, default=10**9, help="at most, for each target")
    parser.add_argument("--seconds", type=float, default=60.0, help="at most, for each target (default: 60)")
    parser.add_argument("--index", type=int, help="run only the input of that number")
    parser.add_argument("--file", type=Path, help="run only the input in that file")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="write the first input of each fault there"
    )
    parser.add_argument("--json", type=Path, help="write the figures to that file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
