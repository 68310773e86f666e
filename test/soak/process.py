# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The node under test as a process in a folder of its own, and what the system says about it."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from fuzz.limits import status
from fuzz.target import MEGABYTE
from node_harness import wait_until

START_S = 120.0
# A hostile request may claim any size: the node must not take the machine's memory, whatever it does.
MEMORY_MB = 3000
# glibc's arenas and the stacks of threads reserve addresses, not memory
_UNUSED_ADDRESSES_MB = 3000

_TEST = Path(__file__).resolve().parents[1]


class WatchedNode:
    """soak.watched_node in a process group of its own, with little memory beyond what it has when active."""

    def __init__(self, folder: Path, parameters: dict[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "parameters.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        environment = {"HOME": str(folder), "ROS_LOG_DIR": str(folder / "ros_log")}
        with (folder / "log").open("w") as log:
            self.process = start_module(
                "soak.watched_node",
                *(str(folder), "--ros-args", "--params-file", str(file)),
                environment=environment,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "WatchedNode":
        self.wait_until_active()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until_active(self) -> None:
        text = "active, waiting for images"
        wait_until(lambda: text in self.log or not self.is_alive(), START_S, text)
        assert self.is_alive(), self.log
        self._imported = len(self._acts())
        self._limit_memory()

    def _limit_memory(self) -> None:
        pid = self.process.pid
        limit = status("VmSize", pid) + (MEMORY_MB + _UNUSED_ADDRESSES_MB) * MEGABYTE
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def fail(self, fault: str) -> None:
        """From the next frame on; "" works again. See test/helpers/faulty_node.py."""
        temporary = self.folder / "fault.new"
        temporary.write_text(fault)
        temporary.rename(self.folder / "fault")

    def forbidden(self) -> list[str]:
        """What the process did since it is active; PyTorch's import looks for libraries and makes a cache."""
        return sorted(set(self._acts()[self._imported :]))

    def _acts(self) -> list[str]:
        return (self.folder / "forbidden").read_text().splitlines()

    def memory(self) -> dict[str, int]:
        """malloc: bytes in use; blocks: of Python's objects. Empty before the first report."""
        try:
            figures: dict[str, int] = json.loads((self.folder / "memory").read_text())
        except (FileNotFoundError, ValueError):  # not yet, or half written
            return {}
        return figures

    def stop(self, number: int = signal.SIGINT, timeout_s: float = 60.0) -> int:
        """The exit code after the signal; the process is killed, and -9, when it does not end."""
        if self.is_alive():
            self.process.send_signal(number)
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            kill_group(self.process)
        return int(self.process.wait())


def start_module(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.Popen[Any]":
    """python -m MODULE in a process group of its own, which `kill_group` ends; options: of Popen."""
    paths = [str(_TEST), str(_TEST / "helpers"), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": ":".join(paths), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **own, **(environment or {})},
        start_new_session=True,
        **options,
    )


def kill_group(process: "subprocess.Popen[Any]") -> None:
    """End the process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def shared_memory(pid: int) -> int:
    """How many files in /dev/shm the process has mapped."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return 0
    return len(set(re.findall(r"/dev/shm/\S+", maps)))


def connections(pid: int) -> list[str]:
    """Remote addresses, hexadecimal as in /proc/net/tcp, of the process's sockets that leave this machine."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
        except OSError:  # closed in the meantime
            continue
        if found:
            inodes.add(found[1])
    remote = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in _read_lines(Path(f"/proc/{pid}/net/{table}")):
            fields = line.split()
            address = fields[2].partition(":")[0]
            if fields[9] in inodes and not _is_local(address):
                remote.append(f"{table} {fields[2]}")
    return remote


def _read_lines(table: Path) -> list[str]:
    """Without its heading; none of a process that is gone, or where there is no such protocol."""
    try:
        return table.read_text().splitlines()[1:]
    except OSError:
        return []


def _is_local(address: str) -> bool:
    """None, 127.x.x.x or ::1, in the kernel's byte order."""
    return set(address) == {"0"} or address[-2:] == "7F" or address == "00000000000000000000000001000000"
