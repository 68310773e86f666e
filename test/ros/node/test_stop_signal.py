# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Signals end the process: in order, or at once. Each test's program runs in a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

PROGRAM = """
import sys, time
from seg_node.ros.node.stop_signal import StopSignal
stop = StopSignal(stop_s=float(sys.argv[1]))
{begin}
print("ready", flush=True)
{body}
"""
ORDERLY = "stop.asked.wait(); print('asked'); sys.exit(5)"
STUCK = "time.sleep(1000)"
NEVER = "1000"


@contextmanager
def program(
    body: str, stop_s: str, begin: str = "stop.expect_orderly_stop()"
) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", PROGRAM.format(body=body, begin=begin), stop_s]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_requests_an_orderly_end(number: signal.Signals) -> None:
    with program(ORDERLY, NEVER) as process:
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        assert (output, process.returncode) == ("asked\n", 5)


def test_a_signal_while_starting_ends_at_once() -> None:
    with program(STUCK, NEVER, begin="") as process:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert (errors, process.returncode) == ("seg_node: stopped while starting\n", 0)


def test_a_stop_that_takes_too_long_ends_with_a_line() -> None:
    with program(STUCK, "0.1") as process:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert errors.startswith("seg_node: not stopped after 0.1 s")


def test_a_second_signal_ends_at_once() -> None:
    with program(STUCK, NEVER) as process:
        while process.poll() is None:  # those of the first 0.3 s count as one
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "second signal" in errors
