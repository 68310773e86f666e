# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The node's parameters, given at the start and set while it runs (seg_node.ros.node.declare_parameters)."""

import os
from pathlib import Path
from random import Random
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from fuzz import mutate
from fuzz.target import Input, Target
from seg_node.ros.node.declare_parameters import declare_parameters, options_of
from seg_node.ros.node.options import Options
from seg_node.types import LabelSet, SegmentOptions

_LABELS = LabelSet({1: "cup", 2: "can"}, {3: "table"})
_OWN = SegmentOptions(score_threshold=0.05)
NAMES = (
    "model.family", "device", "precision", "cameras", "image_transport", "max_batch", "depth.slop",
    "depth.erosion", "depth.min_points", "autostart", "always_on", "score_threshold", "mask_threshold",
    "max_instances", "min_area", "classes", "mask_encoding", "max_rate", "roi", "track.enabled",
    "track.min_iou", "track.max_age", "panoptic.stuff_min_area", "debug.opacity", "debug.jpeg_quality",
    "unknown", "", "a.b.c", "use_sim_time",
)  # fmt: skip
_INT64 = 1 << 63


def make(random: Random) -> Input:
    return {
        "start": [_parameter(random) for _ in range(random.choice((0, 0, 1, 2)))],
        "changes": [_parameter(random) for _ in range(random.choice((1, 2, 5)))],
    }


def _parameter(random: Random) -> list[Any]:
    return [random.choice(NAMES), _value(random)]


def _value(random: Random) -> Any:
    """Of the types that a parameter can have: none, bool, int64, double, string, arrays of them."""
    text = random.choice(("", "cup", "can", "table", "cpu", "rle", "bits", *mutate.TEXTS))
    text = text.encode("utf-8", "replace").decode()
    number = (random.choice(mutate.WIDE_INTEGERS) + _INT64) % (1 << 64) - _INT64
    single = [None, True, False, number, random.randrange(100), mutate.real(random), random.random(), text]
    one = random.choice(single)
    if random.random() < 0.7 or one is None:
        return one
    return [one] * random.choice((1, 2, 4, 5, 1000))


def run(fields: Input, folder: Path) -> None:
    overrides = [Parameter(name, value=value) for name, value in fields["start"] if name]
    node = Node("fuzzed", parameter_overrides=overrides, start_parameter_services=False, enable_rosout=False)
    try:
        declare_parameters(node, _check)
        for name, value in fields["changes"]:
            if name:
                _change(node, name, value)
    finally:
        node.destroy_node()


def _check(options: Options) -> None:
    options.segment_options(_LABELS, _OWN)


def _change(node: Node, name: str, value: Any) -> None:
    """As the parameter service does: an undeclared or read-only one is refused by rclpy."""
    if not node.has_parameter(name):
        return
    (result,) = node.set_parameters([Parameter(name, value=value)])
    assert result.successful or result.reason
    options = options_of(node)
    _check(options)
    options.region(), options.track_options(), options.lift_options(True)


def _prepare() -> None:
    # nothing in /dev/shm that a child, ended by force, would leave behind
    os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4"
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        os.environ.pop(name, None)
    rclpy.init(args=[])


TARGET = Target("parameters", make, run, (ParameterException, ValueError), batch=500, prepare=_prepare)
