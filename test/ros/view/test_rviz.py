# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped RViz configuration shows existing topics with their types."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rosbags.highlevel import AnyReader

ROOT = Path(__file__).resolve().parents[3]
CONFIG = yaml.safe_load((ROOT / "rviz/seg_node.rviz").read_text())["Visualization Manager"]
DISPLAYS = {display["Name"]: display for display in CONFIG["Displays"]}
SHOWN_TYPES = {
    "rviz_default_plugins/Image": "sensor_msgs/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/MarkerArray",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/PointCloud2",
}
POLICIES = {
    "Durability Policy": {"Volatile", "Transient Local"},
    "History Policy": {"Keep Last", "Keep All"},
    "Reliability Policy": {"Reliable", "Best Effort"},
}


def published() -> dict[str, str]:
    """Topic → type, from the table in docs/topics.md; `~` is the node's name."""
    rows = re.findall(r"^\| (`~/.*?) \| (`.*?) \|", (ROOT / "docs/topics.md").read_text(), re.MULTILINE)
    return {
        topic.replace("~", "/seg_node", 1): types.split("`")[1]
        for topics, types in rows
        for topic in re.findall(r"`(~/[^`]+)`", topics)
    }


@pytest.mark.parametrize("display", [display for display in DISPLAYS.values() if "Topic" in display])
def test_each_display_subscribes_to_a_topic_of_its_type(display: dict[str, Any]) -> None:
    topic = display["Topic"]
    if topic["Value"].startswith("/seg_node/"):
        assert published()[topic["Value"]] == SHOWN_TYPES[display["Class"]]
        assert topic["Reliability Policy"] == "Reliable"
    assert all(topic[policy] in values for policy, values in POLICIES.items())
    assert display["Enabled"] == display["Value"]


def test_objects_are_shown_in_space() -> None:
    kinds = {display["Class"].split("/")[1] for display in DISPLAYS.values() if display["Enabled"]}
    assert kinds >= {"Image", "MarkerArray", "PointCloud2", "TF"}


def test_the_fixed_frame_is_one_of_the_demo() -> None:
    with AnyReader([ROOT / "demo/tabletop"]) as bag:
        connections = [connection for connection in bag.connections if connection.topic == "/tf"]
        connection, _, raw = next(bag.messages(connections))
        (transform,) = bag.deserialize(raw, connection.msgtype).transforms
    assert CONFIG["Global Options"]["Fixed Frame"] == transform.header.frame_id
