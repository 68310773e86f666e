# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Masks pasted on the device equal those pasted on the host, except for pixels close to the threshold."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seg_node.models.rcnn.paste import paste_masks, paste_sampled_masks
from seg_node.models.rcnn.paste_batched import PasteRule, paste_on_device
from seg_node.types import MaskCrop

SIZE = (60, 100)
ON_HOST = {"resize": paste_masks, "sample": paste_sampled_masks}
RULES = list(ON_HOST)


def random_probs(count: int, seed: int) -> Tensor:
    """Make blobs with soft edges: (count, 28, 28)."""
    coarse = torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(28, 28), mode="bilinear")[:, 0].mul(4).sigmoid()


def on_image(crop: MaskCrop) -> np.ndarray:
    image = np.zeros(SIZE, np.bool_)
    height, width = crop.pixels.shape
    image[crop.y_offset : crop.y_offset + height, crop.x_offset : crop.x_offset + width] = crop.pixels
    return image


def assert_as_on_host(
    probs: Tensor, boxes: Tensor, rule: PasteRule, threshold: float = 0.5
) -> list[MaskCrop]:
    """Compare masks except for pixels that change if the threshold moves by 1e-5."""
    crops = paste_on_device(probs, boxes, SIZE, threshold, rule)
    low, high = (ON_HOST[rule](probs, boxes, SIZE, threshold + shift) for shift in (-1e-5, 1e-5))
    for crop, larger, smaller in zip(crops, low, high, strict=True):
        mask = on_image(crop)
        assert not (mask & ~on_image(larger)).any()
        assert not (on_image(smaller) & ~mask).any()
        assert crop.pixels.dtype == np.bool_ and type(crop.x_offset) is int
        if mask.any():  # only the smallest rectangle is kept
            assert crop.pixels[0].any() and crop.pixels[-1].any()
            assert crop.pixels[:, 0].any() and crop.pixels[:, -1].any()
        else:
            assert crop.pixels.shape == (0, 0)
    return crops


BOXES = [
    (10.2, 20.7, 50.9, 45.1),
    (0.0, 0.0, 100.0, 60.0),  # the whole image
    (-15.0, -25.0, 120.0, 85.0),  # over all four borders
    (40.0, 30.0, 41.0, 31.0),  # one pixel
    (40.4, 30.4, 40.5, 30.5),  # less than one
    (300.0, 5.0, 340.0, 25.0),  # beside the image
    (99.5, 59.5, 100.0, 60.0),  # in the last pixel
    (0.0, 0.0, 1.0, 60.0),  # thin
]


@pytest.mark.parametrize("rule", RULES)
def test_boxes_anywhere_give_the_hosts_masks(rule: PasteRule) -> None:
    boxes = torch.tensor(BOXES).repeat_interleave(3, dim=0)
    probs = torch.cat([random_probs(1, 0), torch.ones(1, 28, 28), torch.zeros(1, 28, 28)]).repeat(
        len(BOXES), 1, 1
    )
    crops = assert_as_on_host(probs, boxes, rule)
    assert sum(crop.area > 0 for crop in crops) > len(BOXES)
    assert_as_on_host(probs, boxes, rule, threshold=0.9)


@pytest.mark.parametrize("rule", RULES)
def test_crops_are_equal_where_no_pixel_is_in_doubt(rule: PasteRule) -> None:
    """Probabilities of 0 and 1 and boxes of 28 x 28 pixels have exact values only."""
    probs = (random_probs(3, 1) > 0.5).float()
    boxes = torch.tensor([[10.0, 10.0, 38.0, 38.0], [-5.0, 3.0, 23.0, 31.0], [80.0, 40.0, 108.0, 68.0]])
    pairs = zip(
        paste_on_device(probs, boxes, SIZE, 0.3, rule), ON_HOST[rule](probs, boxes, SIZE, 0.3), strict=True
    )
    for crop, expected in pairs:
        assert (crop.x_offset, crop.y_offset) == (expected.x_offset, expected.y_offset)
        np.testing.assert_array_equal(crop.pixels, expected.pixels)


coordinate = st.floats(-30, 130, width=32)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), min_size=1, max_size=6),
    st.integers(0, 1000),
)
def test_random_boxes_give_the_hosts_masks(
    rule: PasteRule, corners: list[tuple[float, float, float, float]], seed: int
) -> None:
    boxes = torch.tensor([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners])
    boxes[:, 0::2].clamp_(0, SIZE[1])  # like detections
    boxes[:, 1::2].clamp_(0, SIZE[0])
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    assert_as_on_host(random_probs(len(boxes), seed), boxes, rule)


@pytest.mark.parametrize("rule", RULES)
def test_no_boxes_and_boxes_without_pixels_give_none(rule: PasteRule) -> None:
    assert paste_on_device(torch.zeros(0, 28, 28), torch.zeros(0, 4), SIZE, 0.5, rule) == []
    beside = torch.tensor([[300.0, 5.0, 340.0, 25.0], [5.0, 200.0, 40.0, 250.0]])
    for crop in paste_on_device(torch.ones(2, 28, 28), beside, SIZE, 0.5, rule):
        assert crop.pixels.shape == (0, 0)


KERNEL_AGAINST_FUNCTION = """
import sys, torch
sys.path.insert(0, "test/models/rcnn")
import torch.nn.functional as F
from test_paste_batched import BOXES, SIZE, random_probs
from seg_node.models.rcnn import paste_batched, paste_kernel
low = torch.rand(12, 2) * torch.tensor([110.0, 70.0]) - 10
boxes = torch.cat((torch.tensor(BOXES), torch.cat((low, low + torch.rand(12, 2) * 60), dim=1)))
padded = F.pad(random_probs(len(boxes), 0), (1, 1, 1, 1))
for rule in ("resize", "sample"):
    origins, rects = paste_batched.place_boxes(boxes, 28, SIZE, rule)
    total, largest = int(rects[-1, 4]), int((rects[:, 2] * rects[:, 3]).max())
    expected = paste_batched.paste_pixels(padded, origins, rects, total, 0.5, rule == "sample")
    pixels = paste_kernel.paste_pixels(padded, origins, rects, total, largest, 0.5, rule == "sample")
    assert expected.any() and not expected.all()
    assert torch.equal(pixels, expected), (rule, int((pixels != expected).sum()), total)
print("equal")
"""


def test_the_kernel_gives_the_torch_functions_pixels() -> None:
    """Run Triton's interpreter in its own process, since it must be selected before the import."""
    pytest.importorskip("triton", reason="the kernel needs Triton, which is not installed")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    result = subprocess.run(
        [sys.executable, "-c", KERNEL_AGAINST_FUNCTION],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "equal\n", result.stderr[-3000:]
