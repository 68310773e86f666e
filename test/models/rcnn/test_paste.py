# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Masks pasted inside their boxes equal the references' masks, computed on the whole image."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from seg_node.models.rcnn.paste import paste_masks, paste_sampled_masks
from seg_node.types import MaskCrop

HEIGHT, WIDTH = 60, 100


def random_probs(count: int, seed: int, steepness: float = 4.0) -> Tensor:
    """Make blobs with soft edges: (count, 28, 28)."""
    coarse = torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=(28, 28), mode="bilinear")
    return (smooth[:, 0] * steepness).sigmoid()


def on_image(crop: MaskCrop, image_size: tuple[int, int]) -> np.ndarray:
    image = np.zeros(image_size, np.bool_)
    height, width = crop.pixels.shape
    image[crop.y_offset : crop.y_offset + height, crop.x_offset : crop.x_offset + width] = crop.pixels
    return image


def assert_as_torchvision(
    probs: Tensor, boxes: Tensor, image_size: tuple[int, int], threshold: float = 0.5
) -> list[MaskCrop]:
    expected = paste_masks_in_image(probs[:, None], boxes, image_size)[:, 0].numpy() >= threshold
    crops = paste_masks(probs, boxes, image_size, threshold)
    for crop, mask in zip(crops, expected, strict=True):
        assert crop.pixels.dtype == np.bool_
        np.testing.assert_array_equal(on_image(crop, image_size), mask)
        if mask.any():  # only the smallest rectangle is kept
            assert crop.pixels[0].any() and crop.pixels[-1].any()
            assert crop.pixels[:, 0].any() and crop.pixels[:, -1].any()
        else:
            assert crop.pixels.shape == (0, 0)
    return crops


@pytest.mark.parametrize(
    "box",
    [
        (10.2, 20.7, 50.9, 45.1),
        (0.0, 0.0, 100.0, 60.0),  # the whole image
        (-20.0, 5.0, 30.0, 40.0),  # over the left border
        (80.0, 5.0, 130.0, 40.0),  # right
        (20.0, -30.0, 60.0, 25.0),  # top
        (20.0, 40.0, 60.0, 90.0),  # bottom
        (-15.0, -25.0, 120.0, 85.0),  # all four
        (40.0, 30.0, 41.0, 31.0),  # one pixel
        (40.4, 30.4, 40.5, 30.5),  # less than one
        (40.0, 30.0, 40.0, 30.0),  # nothing
        (99.5, 59.5, 100.0, 60.0),  # in the last pixel
        (0.0, 0.0, 1.0, 60.0),  # thin
    ],
)
def test_box_anywhere_gives_torchvisions_mask(box: tuple[float, float, float, float]) -> None:
    boxes = torch.tensor([box] * 4)
    probs = torch.cat([random_probs(2, 0), torch.ones(1, 28, 28), torch.zeros(1, 28, 28)])
    crops = assert_as_torchvision(probs, boxes, (HEIGHT, WIDTH))
    assert crops[2].area > 0 and crops[3].area == 0


def test_no_objects_give_no_masks() -> None:
    assert paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (HEIGHT, WIDTH), 0.5) == []


def test_box_beside_the_image_has_an_empty_mask() -> None:
    (crop,) = paste_masks(
        torch.ones(1, 28, 28), torch.tensor([[300.0, 5.0, 340.0, 25.0]]), (HEIGHT, WIDTH), 0.5
    )
    assert crop.pixels.shape == (0, 0)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
def test_threshold_is_used(threshold: float) -> None:
    boxes = torch.tensor([[10.0, 5.0, 90.0, 55.0]])
    # at threshold 0 torchvision's zero canvas outside the enlarged box passes as well: test only above 0
    assert_as_torchvision(random_probs(1, 3), boxes, (HEIGHT, WIDTH), max(threshold, 0.01))


def test_probability_equal_to_the_threshold_belongs_to_the_object() -> None:
    """On a constant grid the inner pixels are exactly 0.5 in any arithmetic."""
    boxes = torch.tensor([[10.0, 10.0, 66.0, 38.0]])
    (crop,) = assert_as_torchvision(torch.full((1, 28, 28), 0.5), boxes, (HEIGHT, WIDTH))
    assert crop.area > 1000


coordinate = st.floats(-30, 130, width=32)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), min_size=1, max_size=4),
    st.integers(0, 1000),
    st.sampled_from([0.5, 4.0, 50.0]),
)
def test_random_boxes_give_torchvisions_masks(
    corners: list[tuple[float, float, float, float]], seed: int, steepness: float
) -> None:
    boxes = torch.tensor(corners)
    boxes = torch.cat(
        [torch.minimum(boxes[:, :2], boxes[:, 2:]), torch.maximum(boxes[:, :2], boxes[:, 2:])], 1
    )
    boxes[:, 0::2].clamp_(0, WIDTH)  # like detections
    boxes[:, 1::2].clamp_(0, HEIGHT)
    assert_as_torchvision(random_probs(len(boxes), seed, steepness), boxes, (HEIGHT, WIDTH))


def test_pixels_too_close_to_call_are_torchvisions_too() -> None:
    """With nearly flat probabilities around the threshold, fast and exact arithmetic may differ."""
    noise = torch.rand(6, 28, 28, generator=torch.Generator().manual_seed(5)) - 0.5
    scale = torch.logspace(-6, -3, 6)[:, None, None]
    boxes = torch.tensor([[3.3, 2.2, 97.7, 58.8]] * 6)
    assert_as_torchvision(0.5 + noise * scale, boxes, (HEIGHT, WIDTH))


def sampled_on_the_whole_image(probs: Tensor, box: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Sample every pixel of the image, like Detectron2 without skipping empty parts."""
    y, x = (torch.arange(side, dtype=torch.float32) + 0.5 for side in image_size)
    x = (x - box[0]) / (box[2] - box[0]) * 2 - 1
    y = (y - box[1]) / (box[3] - box[1]) * 2 - 1
    grid = torch.stack((x[None, :].expand(len(y), -1), y[:, None].expand(-1, len(x))), dim=2)
    return F.grid_sample(probs[None, None], grid[None], align_corners=False)[0, 0]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), min_size=1, max_size=4),
    st.integers(0, 1000),
    st.sampled_from([0.5, 4.0, 50.0]),
)
def test_sampled_masks_are_those_of_the_whole_image(
    corners: list[tuple[float, float, float, float]], seed: int, steepness: float
) -> None:
    boxes = torch.tensor([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners])
    boxes[:, 0::2].clamp_(0, WIDTH)  # like detections
    boxes[:, 1::2].clamp_(0, HEIGHT)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    probs = random_probs(len(boxes), seed, steepness)
    for crop, prob, box in zip(
        paste_sampled_masks(probs, boxes, (HEIGHT, WIDTH), 0.5), probs, boxes, strict=True
    ):
        expected = sampled_on_the_whole_image(prob, box, (HEIGHT, WIDTH)).numpy() >= 0.5
        np.testing.assert_array_equal(on_image(crop, (HEIGHT, WIDTH)), expected)
        if expected.any():
            assert crop.pixels[0].any() and crop.pixels[-1].any()
            assert crop.pixels[:, 0].any() and crop.pixels[:, -1].any()
        else:
            assert crop.pixels.shape == (0, 0)


def test_pixel_takes_the_probability_at_its_centre() -> None:
    """Bilinear values have a closed form on a ramp from left to right."""
    ramp = ((torch.arange(28) + 0.5) / 28).expand(1, 28, 28)  # the place in the box, 0 … 1
    (crop,) = paste_sampled_masks(ramp, torch.tensor([[10.25, 5.0, 50.25, 45.0]]), (HEIGHT, WIDTH), 0.5)
    # (x + 0.5 - 10.25) / 40 >= 0.5 from x = 29.75 on, until half a cell before the right edge at 50.25
    assert crop.x_offset == 30 and crop.x_offset + crop.pixels.shape[1] == 50
    assert (crop.y_offset, crop.pixels.shape[0]) == (5, 40)


def test_sampled_probability_falls_to_0_beyond_the_grid() -> None:
    """In a box four pixels wide a cell is a seventh of a pixel, so the edge is the box's to a pixel."""
    (crop,) = paste_sampled_masks(
        torch.ones(1, 28, 28), torch.tensor([[8.0, 8.0, 12.0, 12.0]]), (HEIGHT, WIDTH), 0.5
    )
    assert (crop.x_offset, crop.y_offset, crop.pixels.shape, crop.area) == (8, 8, (4, 4), 16)
    assert type(crop.x_offset) is int and type(crop.y_offset) is int  # ROS takes no other


def test_sampled_mask_of_a_box_wider_than_the_grid_ends_within_half_a_cell() -> None:
    (crop,) = paste_sampled_masks(
        torch.ones(1, 4, 4), torch.tensor([[20.0, 10.0, 60.0, 50.0]]), (HEIGHT, WIDTH), 0.5
    )
    # cells of 10 pixels: at the box's edges the probability has fallen to 0.5, towards its corners to 0.25
    assert (crop.x_offset, crop.pixels.shape[1]) == (20, 40)
    rounded_off = 100 * (math.log(2) / 2 - 1 / 4)  # where (0.5 + u) (0.5 + v) < 0.5, in cells
    assert math.isclose(crop.area, 1600 - 4 * rounded_off, abs_tol=8)


def test_no_sampled_masks_of_no_objects() -> None:
    assert paste_sampled_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (HEIGHT, WIDTH), 0.5) == []
