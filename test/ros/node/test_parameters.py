# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""One table of parameters: config/, README and launch files must say the same."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from rclpy.parameter import Parameter

from seg_node.ros.node.parameters import Options, markdown_table, rule, with_changes
from seg_node.types import LabelSet, SegmentOptions

OWN = SegmentOptions(score_threshold=0.11, nms_threshold=0.22, max_instances=33, panoptic_stuff_min_area=44)
ROOT = Path(__file__).resolve().parents[3]


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in tree.items():
        values.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return values


def test_the_parameter_file_has_every_parameter_with_its_default() -> None:
    tree = yaml.safe_load((ROOT / "config/seg_node.yaml").read_text())
    given = flat(tree["/**"]["ros__parameters"])
    table = {
        rule(option).name: list(option.default) if isinstance(option.default, tuple) else option.default
        for option in fields(Options)
    }
    assert given == table
    assert {name: type(value) for name, value in given.items()} == {n: type(v) for n, v in table.items()}


def test_the_readme_has_the_table() -> None:
    assert markdown_table() in (ROOT / "README.md").read_text()


def test_the_launch_file_takes_its_parameters_from_the_parameter_file_alone() -> None:
    text = (ROOT / "launch/seg_node.launch.py").read_text()
    assert 'str(share / "config/seg_node.yaml")' in text
    named_in_launch = [rule(option).name for option in fields(Options) if f'"{rule(option).name}"' in text]
    assert named_in_launch == []


def test_values_are_converted_to_the_type_of_their_default() -> None:
    options = with_changes(
        Options(),
        [Parameter("max_rate", value=10), Parameter("classes", value=["cup"]), Parameter("other", value=1)],
    )
    assert options.max_rate == 10.0 and isinstance(options.max_rate, float)
    assert options.classes == ("cup",)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("score_threshold", 1.01, "score_threshold = 1.01: must be from -1.0 to 1.0"),
        ("score_threshold", True, "score_threshold = True: must be of type float"),
        ("max_instances", -2, "must be from -1"),
        ("max_instances", 2.5, "must be of type int"),
        ("mask_encoding", "png", "must be one of mono8, bits, rle"),
        ("classes", None, "must be of type tuple"),
    ],
)
def test_a_wrong_value_is_refused_with_name_value_and_allowed_range(
    name: str, value: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=name) as error:
        with_changes(Options(), [Parameter(name, value=value)])
    assert words in str(error.value)


def test_class_names_become_ids_and_unknown_ones_are_refused_with_the_known_names() -> None:
    labels = LabelSet({1: "person", 44: "bottle"})
    assert Options().segment_options(labels, OWN).classes is None
    assert Options(classes=("bottle",)).segment_options(labels, OWN).classes == frozenset({44})
    with pytest.raises(ValueError, match="unknown class bottel; this model knows: person, bottle"):
        Options(classes=("bottel",)).segment_options(labels, OWN)


def test_options_left_at_minus_one_use_the_checkpoints_values() -> None:
    labels = LabelSet({1: "person"})
    options = Options().segment_options(labels, OWN)
    assert (options.score_threshold, options.nms_threshold, options.max_instances) == (0.5, 0.22, 33)
    options = Options(score_threshold=-1.0, nms_threshold=0.0, panoptic_stuff_min_area=0)
    assert options.segment_options(labels, OWN) == replace(
        OWN, nms_threshold=0.0, panoptic_stuff_min_area=0, min_area=1
    )
