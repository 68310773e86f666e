# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Errors that refuse a frame carry their reason, and stay the built-in errors that callers catch."""

import pytest

from seg_node.errors import Refused
from seg_node.images.buffer import ImageError
from seg_node.inference.check_result import BadResult
from seg_node.inference.device_errors import DeviceLost
from seg_node.inference.engine import OutOfMemory
from seg_node.masks.region import RegionError
from seg_node.spatial.lift import DepthSizeError


@pytest.mark.parametrize(
    ("error", "reason", "built_in"),
    [
        (ImageError("too_large", "the cure"), "too_large", ValueError),
        (RegionError("the cure"), "roi_outside", ValueError),
        (DepthSizeError("the cure"), "depth_size", ValueError),
        (BadResult("the cure"), "bad_result", ValueError),
        (OutOfMemory("the cure"), "out_of_memory", RuntimeError),
        (DeviceLost("the cure"), "device_lost", RuntimeError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_has_a_reason_and_its_text(error: Refused, reason: str, built_in: type[Exception]) -> None:
    assert isinstance(error, Refused)
    assert isinstance(error, built_in)
    assert error.reason == reason
    assert str(error) == "the cure"
