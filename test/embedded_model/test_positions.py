# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's objects from its masks and depth, against where they really are."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed")
pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from seg_node.spatial.lift import LiftOptions, lift_instances

ROOT = Path(__file__).resolve().parents[2]


def test_boxes_of_the_demo_are_where_the_renderer_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from common.positions_scenes import read_scenes
    from positions import axes_error, compare, size_error

    (scene,) = read_scenes(ROOT / "demo/tabletop", 1)
    objects = lift_instances(scene.instances, scene.depth, scene.pinhole, LiftOptions())
    kinds = [thing.kind for thing in scene.things]
    assert len(kinds) == len(objects) == 13
    for kind in ("book", "block"):  # box-shaped, nothing before them in this frame
        thing, found = scene.things[kinds.index(kind)], objects[kinds.index(kind)]
        assert np.linalg.norm(found.centre - thing.centre) < 0.004, kind
        assert axes_error(found.axes, thing.axes, is_round=False) < 2, kind
        assert size_error(found.size, thing.size) < 3, kind
    for index, (thing, found) in enumerate(zip(scene.things, objects, strict=True)):
        error = compare(found, thing, scene.seen(index))
        assert error.centre < 20 and error.own < 15, thing.kind
