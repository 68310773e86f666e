# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS domain that nobody else on this machine uses."""

import errno
import fcntl
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

DOMAINS = range(1, 102)  # with Linux's ephemeral ports from 32768 on the ports of domains up to 101 are free
LOCKS = Path(tempfile.gettempdir())
PORT, DOMAIN_GAIN, UNICAST = 7400, 250, 10  # of the DDS specification: a domain's first participant's ports
PARTICIPANTS = 20  # a leftover node is not always the first one


@dataclass(frozen=True)
class Domain:
    """Taken as long as the descriptor `lock` is open."""

    number: int
    lock: int


def free_domain(folder: Path = LOCKS) -> Domain:
    """Take the first domain that no other test run holds and no other program uses.

    Raises RuntimeError when all are taken.
    """
    for number in DOMAINS:
        try:
            lock = os.open(folder / f"seg_node_test_domain_{number}.lock", os.O_RDWR | os.O_CREAT)
        except OSError:  # another user's file
            continue
        if _take(lock) and not _has_participants(number):
            return Domain(number, lock)
        os.close(lock)
    raise RuntimeError(f"ROS domains {DOMAINS[0]} to {DOMAINS[-1]} are all in use; set ROS_DOMAIN_ID")


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _has_participants(domain: int) -> bool:
    first = PORT + DOMAIN_GAIN * domain + UNICAST
    return any(_in_use(first + 2 * participant) for participant in range(PARTICIPANTS))


def _in_use(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
