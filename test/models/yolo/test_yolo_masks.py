# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Masks of prototypes against plain resizing of whole maps, and the letterbox against closed forms."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.models.yolo.letterbox import fit_letterbox, prepare_letterboxed
from seg_node.models.yolo.masks import cut_masks, enlargement, whole_masks
from seg_node.types import Frame

CPU = torch.device("cpu")


def plain_masks(prototypes: Tensor, coefficients: Tensor, boxes: Tensor, image: tuple[int, int]) -> Tensor:
    """Compute masks of an image in an input of 64x64 by whole maps, step by step."""
    letterbox = fit_letterbox(image, (64, 64), None)
    edges = [letterbox.top, letterbox.left, letterbox.top + letterbox.resized[0]]
    edges.append(letterbox.left + letterbox.resized[1])
    factor = next(f for f in (1, 2, 4) if all(edge * f % 4 == 0 for edge in edges))
    top, left, bottom, right = (edge * factor // 4 for edge in edges)
    logits = torch.einsum("nk,khw->nhw", coefficients, prototypes)[None]
    large = F.interpolate(logits, scale_factor=factor, mode="bilinear")[:, :, top:bottom, left:right]
    masks = F.interpolate(large, size=image, mode="bilinear")[0] > 0
    y, x = torch.arange(image[0])[:, None], torch.arange(image[1])[None]
    x_min, y_min, x_max, y_max = boxes.t()[:, :, None, None]
    return masks & (x >= x_min) & (x < x_max) & (y >= y_min) & (y < y_max)


@pytest.mark.parametrize("image", [(64, 64), (45, 61), (60, 32), (31, 64), (100, 240), (1, 9)])
def test_masks_equal_those_of_whole_maps(image: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.randn(5, 16, 16, generator=generator)
    coefficients = torch.randn(20, 5, generator=generator)
    corners = torch.rand(20, 2, 2, generator=generator).sort(dim=1).values
    boxes = (corners * torch.tensor([image[1], image[0]])).flatten(1)
    boxes[0], boxes[1] = torch.tensor([0, 0, image[1], image[0]]), torch.tensor([2, 3, 2, 9])  # all, nothing
    matrices = enlargement(fit_letterbox(image, (64, 64), None), (16, 16), image)
    expected = plain_masks(prototypes, coefficients, boxes, image)

    whole = whole_masks(prototypes, coefficients, boxes, matrices, 0.5)
    assert (whole != expected).sum() <= expected.sum() // 10_000
    crops = cut_masks(prototypes, coefficients, boxes, matrices, 0.5)
    for crop, mask in zip(crops, whole, strict=True):
        pasted = np.zeros(image, np.bool_)
        pasted[crop.roi.slices] = crop.pixels
        np.testing.assert_array_equal(pasted, mask.numpy())
    assert crops[1].area == 0


@pytest.mark.parametrize(("threshold", "area"), [(0.0, 64), (0.6, 0), (0.4, 64), (1.0, 0)])
def test_mask_threshold_is_a_probability(threshold: float, area: int) -> None:
    """Logits of 0 are probabilities of 0.5."""
    matrices = enlargement(fit_letterbox((8, 8), (32, 32), None), (8, 8), (8, 8))
    box = torch.tensor([[0.0, 0, 8, 8]])
    (crop,) = cut_masks(torch.zeros(1, 8, 8), torch.ones(1, 1), box, matrices, threshold)
    assert crop.area == area


@pytest.mark.parametrize(
    ("image", "stride", "input_size", "resized", "start"),
    [
        ((480, 640), None, (640, 640), (480, 640), (80, 0)),
        ((480, 640), 32, (480, 640), (480, 640), (0, 0)),
        ((720, 1280), 32, (384, 640), (360, 640), (12, 0)),
        ((101, 50), None, (640, 640), (640, 317), (0, 161)),  # 323 columns of border: 161 and 162
        ((1, 5000), None, (640, 640), (1, 640), (319, 0)),
    ],
)
def test_images_lie_in_the_middle_of_the_input(
    image: tuple[int, int], stride: int | None, input_size: object, resized: object, start: object
) -> None:
    letterbox = fit_letterbox(image, (640, 640), stride)
    assert (letterbox.input_size, letterbox.resized) == (input_size, resized)
    assert (letterbox.top, letterbox.left) == start


def test_border_is_grey_and_colours_are_rgb_from_0_to_1() -> None:
    image = np.full((16, 64, 3), (0, 51, 255), np.uint8)
    letterbox = fit_letterbox((16, 64), (32, 64), None)
    pixels = prepare_letterboxed([Frame(image, "bgr")], letterbox, CPU)
    assert pixels.shape == (1, 3, 32, 64)
    assert pixels[0, :, 8, 0].tolist() == pytest.approx([1, 0.2, 0])
    assert torch.equal(pixels[0, :, :8], torch.full((3, 8, 64), 114 / 255))
    assert torch.equal(pixels[0, :, 24:], torch.full((3, 8, 64), 114 / 255))


def test_boxes_return_to_the_image_and_are_clipped() -> None:
    letterbox = fit_letterbox((50, 100), (64, 64), None)  # 32 rows from row 16, scaled by 0.64
    boxes = letterbox.to_image(torch.tensor([[-5.0, 16, 32, 100], [0, 0, 64, 64]]), (50, 100))
    torch.testing.assert_close(boxes, torch.tensor([[0, 0, 50, 50], [0, 0, 100, 50.0]]))


def test_frames_without_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="0 rows and 5 columns has no pixels"):
        fit_letterbox((0, 5), (64, 64), None)
