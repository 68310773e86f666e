# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS domain that nobody else on this machine uses."""

import errno
import fcntl
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

DOMAINS = range(1, 102)  # with Linux's ephemeral ports from 32768 on the ports of domains up to 101 are free
LOCKS = Path(tempfile.gettempdir())
PORT, DOMAIN_GAIN, UNICAST = 7400, 250, 10  # of the DDS specification: a domain's first participant's ports


@dataclass(frozen=True)
class Domain:
    """Taken as long as `lock` is open."""

    number: int
    lock: IO[str]


def free_domain(folder: Path = LOCKS) -> Domain:
    """Take the first domain that no other test run holds and no other program uses.

    Raises RuntimeError when all are taken.
    """
    for number in DOMAINS:
        try:
            lock = (folder / f"seg_node_test_domain_{number}.lock").open("a")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # held, or another user's file
        if not _in_use(PORT + DOMAIN_GAIN * number + UNICAST):
            return Domain(number, lock)
        lock.close()
    raise RuntimeError(f"ROS domains {DOMAINS[0]} to {DOMAINS[-1]} are all in use; set ROS_DOMAIN_ID")


def _in_use(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
