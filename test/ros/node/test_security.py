# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The SROS 2 policy allows what the real node does, and no more than its own names."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from node_harness import Probe, running_node, wait_until

POLICY = Path(__file__).resolve().parents[3] / "security/seg_node.policy.xml"


def patterns(kind: str, rule: str, enclave: str = "/seg_node") -> list[str]:
    """kind: topics or services; rule: publish, subscribe, reply or request. As sros2 expands them."""
    found = []
    for profile in ElementTree.parse(POLICY).iterfind(f".//enclave[@path='{enclave}']/profiles/profile"):
        namespace = profile.get("ns", "").rstrip("/")
        for group in profile.iterfind(f"./{kind}[@{rule}='ALLOW']"):
            for entry in group:
                name = entry.text or ""
                if name.startswith("~"):
                    name = f"{namespace}/{profile.get('node')}{name[1:]}"
                found.append(name if name.startswith("/") else f"{namespace}/{name}")
    return found


def refused(names: Iterable[str], allowed: list[str]) -> set[str]:
    return {name for name in names if not any(fnmatchcase(name, pattern) for pattern in allowed)}


def names_of(probe: Probe, what: str) -> set[str]:
    ask = getattr(probe.node, f"get_{what}_names_and_types_by_node")
    return {name for name, _ in ask("seg_node", "/")}


@pytest.mark.parametrize(
    ("extra", "remaps", "shows"),
    [
        (
            {"target_frame": "base", "bond.enabled": True},
            {},
            {"/image", "/depth", "/camera_info", "/clock", "/tf", "/tf_static"},
        ),
        ({"cameras": ["front", "rear"]}, {}, {"/front/image", "/rear/depth", "/front/camera_info"}),
        (
            {"image_transport": "compressed", "depth.transport": "compressedDepth"},
            {"image": "/camera/color/image_raw", "depth": "/camera/depth/image_raw"},
            {"/camera/color/image_raw/compressed", "/camera/depth/image_raw/compressedDepth"},
        ),
    ],
)
@pytest.mark.usefixtures("tf2")
def test_the_policy_allows_every_topic_and_service_of_the_node(
    with_depth: dict[str, Any],
    tmp_path: Path,
    probe: Probe,
    extra: dict[str, Any],
    remaps: dict[str, str],
    shows: set[str],
) -> None:
    with running_node(tmp_path, {**with_depth, "use_sim_time": True, **extra}, remaps):
        known = probe.node.get_node_names_and_namespaces
        wait_until(lambda: ("seg_node", "/") in known(), 20, "the node")
        wait_until(lambda: shows <= names_of(probe, "subscriber"), 20, "its subscriptions")
        wait_until(lambda: "/seg_node/segment" in names_of(probe, "service"), 20, "its services")
        assert ("/bond" in names_of(probe, "publisher")) == ("bond.enabled" in extra)
        assert not refused(names_of(probe, "publisher"), patterns("topics", "publish"))
        assert not refused(names_of(probe, "subscriber"), patterns("topics", "subscribe"))
        assert not refused(names_of(probe, "service"), patterns("services", "reply"))
        assert not refused(names_of(probe, "client"), patterns("services", "request"))


def test_the_node_may_not_publish_foreign_topics() -> None:
    foreign = ["/cmd_vel", "/tf", "/clock", "/camera/image_raw", "/image", "/other/instances", "/seg_node2/x"]
    assert refused(foreign, patterns("topics", "publish")) == set(foreign)
    assert refused(["/other/segment"], patterns("services", "reply")) == {"/other/segment"}
    assert not patterns("services", "request")


def test_a_reader_may_neither_command_the_node_nor_publish_results() -> None:
    reader = "/seg_node_reader"
    assert not refused(
        ["/seg_node/instances", "/seg_node/front/cloud"], patterns("topics", "subscribe", reader)
    )
    assert refused(["/seg_node/instances"], patterns("topics", "publish", reader)) == {"/seg_node/instances"}
    assert not patterns("services", "request", reader)
