# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Groups of classes in the real node: names, class ids and class_map are those of the labels file."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from node_harness import NODE, Probe, image_message, picture, running_node, send_and_wait, wait_until
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image

from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.msg import InstanceMaskArray
from seg_node.ros.messages import vision
from seg_node.types import Frame


def commonest_classes(weights: dict[str, Any]) -> list[str]:
    """Return the names of the classes that the thin model finds in the picture, the commonest first."""
    model = load_model("auto", weights["model.weights"], weights["model.config"])
    options = model.default_options.with_score_threshold(weights["score_threshold"])
    found = Engine(model, torch.device("cpu")).segment(Frame(picture(), "bgr"), options).instances
    counts = Counter(found.class_ids.tolist())
    return [model.labels.things[i] for i, _ in counts.most_common() if i in model.labels.things]


def test_messages_hold_the_groups(weights: dict[str, Any], tmp_path: Path, probe: Probe) -> None:
    names = commonest_classes(weights)
    assert len(names) > 4
    labels = tmp_path / "labels.yaml"
    groups = {"dish": names[:2], "furniture": names[2:4]}
    content = {"groups": groups, "drop": names[4], "ids": {"dish": 1, "furniture": 200}}
    labels.write_text(yaml.safe_dump(content))
    infos: list[Any] = []
    with running_node(tmp_path, {**weights, "model.labels": str(labels)}) as node:
        if vision.installed():
            once = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            probe.node.create_subscription(vision.LabelInfo, f"{NODE}/label_info", infos.append, once)
        heard = probe.listen(InstanceMaskArray, f"{NODE}/instances")
        maps = probe.listen(Image, f"{NODE}/class_map")
        camera = probe.publisher(Image, "/image")
        everything = send_and_wait(probe, image_message(picture(), 1000), heard, camera).instances
        wait_until(lambda: bool(maps), 20, "class_map")
        refused, _ = probe.set_parameter("classes", [names[0]])
        assert probe.set_parameter("classes", ["dish"])[0].successful
        dishes = send_and_wait(probe, image_message(picture(), 2000), heard, camera).instances
        wait_until(lambda: len(maps) > 1, 20, "class_map")
        assert not vision.installed() or wait_until(lambda: bool(infos), 20, "label_info") is None
        assert "things:" in node.log and "dish" in node.log
    found = {mask.class_name: mask.class_id for mask in everything}
    assert found["dish"] == 1 and found["furniture"] == 200
    assert not {*names[:5]} & found.keys()
    assert not refused.successful and f"unknown class {names[0]}" in refused.reason
    assert dishes and {mask.class_name for mask in dishes} == {"dish"}
    values = set(np.frombuffer(maps[-1].data, np.uint8).tolist())
    assert values == {1, 255}
    if vision.installed():
        listed = {entry.class_id: entry.class_name for entry in infos[-1].class_map}
        assert (listed[1], listed[200]) == ("dish", "furniture")
        assert not {*names[:5]} & set(listed.values())


def test_a_bad_file_leaves_the_node_unconfigured(weights: dict[str, Any], tmp_path: Path) -> None:
    labels = tmp_path / "labels.yaml"
    labels.write_text("groups: {dish: [cup, bowll]}")
    with running_node(tmp_path, {**weights, "model.labels": str(labels)}, until="cannot configure") as node:
        assert "labels.yaml: group 'dish': the model has no class 'bowll'; it knows" in node.log
