# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The options of the model that follow from the parameters."""

from dataclasses import replace

import pytest

from seg_node.ros.node.options import DEFAULTS
from seg_node.types import LabelSet, SegmentOptions

OWN = SegmentOptions(score_threshold=0.11, nms_threshold=0.22, max_instances=33, panoptic_stuff_min_area=44)


def test_class_names_become_ids_and_unknown_ones_are_refused_with_the_known() -> None:
    labels = LabelSet({1: "person", 44: "bottle"})
    assert DEFAULTS.segment_options(labels, OWN).classes is None
    assert replace(DEFAULTS, classes=("bottle",)).segment_options(labels, OWN).classes == frozenset({44})
    with pytest.raises(ValueError, match="unknown class bottel; this model knows: person, bottle"):
        replace(DEFAULTS, classes=("bottel",)).segment_options(labels, OWN)


def test_options_left_at_minus_one_are_the_checkpoints_own() -> None:
    labels = LabelSet({1: "person"})
    options = DEFAULTS.segment_options(labels, OWN)
    assert (options.score_threshold, options.nms_threshold, options.max_instances) == (0.5, 0.22, 33)
    options = replace(DEFAULTS, score_threshold=-1.0, nms_threshold=0.0, panoptic_stuff_min_area=0)
    assert options.segment_options(labels, OWN) == replace(
        OWN, nms_threshold=0.0, panoptic_stuff_min_area=0, min_area=1
    )
