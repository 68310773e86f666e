# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures. Tests of the ROS node are skipped by name where rclpy is not installed."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ros_domain import free_domain

if TYPE_CHECKING:
    from known_model import KnownModel
    from node_harness import Probe

# Test runs of one machine, and the processes of one run, must hear neither each other nor other nodes.
if "ROS_DOMAIN_ID" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    _DOMAIN = free_domain()  # held until this process ends
    os.environ["ROS_DOMAIN_ID"] = str(_DOMAIN.number)
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

IMAGE_TOPICS = ("/image", "/depth", "/camera_info", "/front/compressed", "/robot/camera/image_raw")
RELIABLE = {"reliability": "reliable", "depth": 50}


@pytest.fixture(scope="session")
def thin_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small Mask R-CNN in torchvision's format with random, lively weights, and its config."""
    from thin_torchvision import write_thin_checkpoint

    return write_thin_checkpoint(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def known_model(monkeypatch: pytest.MonkeyPatch) -> "KnownModel":
    """`seg_node evaluate` runs this model instead of a network."""
    from known_model import KnownEngine, KnownModel

    model = KnownModel()
    monkeypatch.setattr("seg_node.export.open_model.load_model", lambda *_: model)
    monkeypatch.setattr("seg_node.export.open_model.open_engine", lambda *_: KnownEngine(model))
    return model


@pytest.fixture
def probe() -> "Iterator[Probe]":
    pytest.importorskip("rclpy")
    from node_harness import Probe

    probe = Probe()
    yield probe
    probe.close()


@pytest.fixture(scope="session")
def weights(thin_checkpoint: tuple[Path, Path]) -> dict[str, Any]:
    """Parameters of a node with a fast, lively model that always answers."""
    file, config = thin_checkpoint
    return {
        "model.weights": str(file),
        "model.config": str(config),
        "score_threshold": 0.05,
        "device": "cpu",
        "precision": "exact",
        # so that a test's single images are neither lost before the match nor overwritten in the queue
        "qos_overrides": {topic: {"subscription": dict(RELIABLE)} for topic in IMAGE_TOPICS},
    }


@pytest.fixture
def tf2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """tf2_ros, here and in the processes that the test starts; where it is not installed, the plain one."""
    if importlib.util.find_spec("tf2_ros") is None:
        helpers = Path(__file__).resolve().parent / "helpers"
        monkeypatch.syspath_prepend(helpers / "plain_tf2")
        monkeypatch.setenv("PYTHONPATH", f"{helpers}:{helpers / 'plain_tf2'}:{os.environ['PYTHONPATH']}")
        yield
        sys.modules.pop("tf2_ros", None)
    else:
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, as in the node of node_harness: with more it rounds differently."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def with_depth(weights: dict[str, Any]) -> dict[str, Any]:
    return {**weights, "depth.enabled": True}
