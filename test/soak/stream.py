# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A node under a hostile camera or storms of requests for a while; what became of it, as plain figures."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from node_harness import Probe, wait_until

from soak import health
from soak.process import WatchedNode, kill_group, start_module
from soak.watcher import Watcher

Figures = dict[str, Any]


@contextmanager
def client(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A module of this folder as a process of its own."""
    process = start_module(module, *arguments, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        kill_group(process)


def counts(process: "subprocess.Popen[str]") -> dict[str, int]:
    """What the client printed when it was done."""
    output, _ = process.communicate()
    assert process.returncode == 0, f"{process.args} ended with {process.returncode}"
    found: dict[str, int] = json.loads(output)
    return found


def run_clients(folder: Path, parameters: Mapping[str, Any], clients: Sequence[tuple[str, ...]]) -> Figures:
    """A new node under all clients at once, (module, argument …) each, until all are done.

    Returns the counts of each client, the node's own, its memory, and the problems in words.
    """
    figures: Figures = {"clients": [], "samples": 0, "problems": []}
    with ExitStack() as stack:
        probe = Probe()
        stack.callback(probe.close)
        node = WatchedNode(folder, dict(parameters))
        stack.callback(node.stop)
        try:
            _run(node, probe, clients, figures)
        except AssertionError as error:
            figures["problems"].append(f"{type(error).__name__}: {error}")
        if node.is_alive() and (code := node.stop()):
            figures["problems"].append(f"exit code {code} after Ctrl-C")
    return figures


def _run(node: WatchedNode, probe: Probe, clients: Sequence[tuple[str, ...]], figures: Figures) -> None:
    node.wait_until_active()
    with Watcher(node, probe) as watcher, ExitStack() as stack:
        processes = [stack.enter_context(client(*arguments)) for arguments in clients]
        wait_until_done(processes, node)
        for process, arguments in zip(processes, clients, strict=True):
            found = counts(process) if process.poll() is not None else {}
            figures["clients"].append({"client": " ".join(arguments), **found})
        try:
            health.serves(node, probe)
            health.settled(node, watcher)
        finally:
            figures |= _figures(watcher)
            figures["problems"] += health.problems(node, watcher)


def wait_until_done(processes: Sequence["subprocess.Popen[str]"], node: WatchedNode) -> None:
    """Or until there is no node any more."""
    wait_until(
        lambda: all(process.poll() is not None for process in processes) or not node.is_alive(),
        float("inf"),
        "the clients",
    )


def _figures(watcher: Watcher) -> Figures:
    samples = watcher.samples
    if not samples:
        return {"samples": 0}
    last = samples[-1]
    return {
        "samples": len(samples),
        "seconds": round(last.seconds - samples[0].seconds, 1),
        "last": asdict(last) | {"in_work": last.in_work},
        "rss_slope_mb_per_1000": round(watcher.slope_mb_per_1000("rss"), 3),
        "malloc_slope_mb_per_1000": round(watcher.slope_mb_per_1000("malloc"), 3),
        "shared_memory": [samples[0].shared_memory, last.shared_memory],
        "levels": {level: sum(sample.level == level for sample in samples) for level in (0, 1, 2, 3)},
    }
