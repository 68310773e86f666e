# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Values of parameters are taken in the type of their default, or refused."""

from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not in this environment")

from rclpy.parameter import Parameter

from seg_node.ros.node.declare_parameters import with_changes
from seg_node.ros.node.options import DEFAULTS


def test_values_are_taken_in_the_type_of_their_default() -> None:
    options = with_changes(
        DEFAULTS,
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
def test_a_wrong_value_is_refused_with_name_value_and_what_it_must_be(
    name: str, value: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=name) as error:
        with_changes(DEFAULTS, [Parameter(name, value=value)])
    assert words in str(error.value)
