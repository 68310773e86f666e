# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Two test runs on one machine never share a ROS domain."""

import os
import socket
from pathlib import Path

import pytest
import ros_domain
from ros_domain import free_domain


def test_each_taker_gets_another_domain_until_none_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ros_domain, "DOMAINS", range(215, 218))
    taken = [free_domain(tmp_path) for _ in range(3)]
    assert sorted(domain.number for domain in taken) == [215, 216, 217]
    with pytest.raises(RuntimeError, match="set ROS_DOMAIN_ID"):
        free_domain(tmp_path)
    os.close(taken[1].lock)
    assert free_domain(tmp_path).number == taken[1].number


def test_a_domain_in_which_a_program_runs_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ros_domain, "DOMAINS", range(215, 217))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("", 7400 + 250 * 215 + 10))
        assert free_domain(tmp_path).number == 216
