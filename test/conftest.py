"""Shared fixtures. Tests of the ROS node are skipped by name where rclpy is not installed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from node_harness import Probe

# Tests of several checkouts on one machine must not hear each other.
os.environ["ROS_DOMAIN_ID"] = str(os.getpid() % 100 + 1)
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@pytest.fixture(scope="session")
def thin_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small Mask R-CNN in torchvision's format with random, lively weights, and its config."""
    from thin_torchvision import write_thin_checkpoint

    return write_thin_checkpoint(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def probe() -> "Iterator[Probe]":
    pytest.importorskip("rclpy")
    from node_harness import Probe

    probe = Probe()
    yield probe
    probe.close()
