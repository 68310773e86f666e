# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The real node as a process of its own, and what it takes of the machine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

START_S = 120.0


class NodeProcess:
    """One running node."""

    def __init__(self, running: "subprocess.Popen[bytes]") -> None:
        self._running = running
        self._folder = Path(f"/proc/{running.pid}")

    def cpu_s(self) -> float:
        """CPU time of all its threads since its start."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, greatest: bool = False) -> float:
        """Its resident set now, or the greatest so far."""
        key = "VmHWM:" if greatest else "VmRSS:"
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024 / 1e6

    def gpu_memory_mb(self) -> float | None:
        """What the driver has given it, CUDA's own context included; None where it uses no GPU."""
        command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        pairs = [line.split(",") for line in answer.splitlines()]
        used = [float(memory) for pid, memory in pairs if int(pid) == self._running.pid]
        return used[0] * 2**20 / 1e6 if used else None


@contextmanager
def running_node(parameters: dict[str, Any], folder: Path) -> Iterator[NodeProcess]:
    """A node that waits for images. Raises RuntimeError with its log's end when it does not start."""
    file, log_file = folder / "parameters.yaml", folder / "node.log"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    command = [sys.executable, "-m", "seg_node.ros.node", "--ros-args", "--params-file", str(file)]
    with log_file.open("w") as log:
        running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + START_S
        while "waiting for images" not in log_file.read_text():
            if running.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the node did not start: {log_file.read_text()[-2000:]}")
            time.sleep(0.1)
        yield NodeProcess(running)
    finally:
        running.send_signal(signal.SIGINT)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
