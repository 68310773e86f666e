# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Masks cropped on a device equal masks cropped one by one."""

import numpy as np
import pytest
import torch

from seg_node.masks.crop import tight_crop
from seg_node.models.assemble.download_crops import download_crops


@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_each_crop_is_the_smallest_with_all_pixels_and_fields_stay_as_they_are(count: int) -> None:
    random = np.random.default_rng(count)
    masks = np.zeros((count, 31, 47), np.bool_)
    for mask in masks:
        top, left = random.integers(0, 30), random.integers(0, 46)
        part = mask[top : random.integers(top, 32), left : random.integers(left, 48)]
        part[:] = random.random(part.shape) < 0.3
    masks[: count // 20] = True
    masks[count // 20 : count // 10] = False
    boxes = torch.from_numpy(random.random((count, 4), np.float32))
    class_ids = torch.from_numpy(random.integers(0, 2**53, count))
    crops, fields = download_crops(torch.from_numpy(masks), boxes, class_ids)
    assert torch.equal(fields[0], boxes) and torch.equal(fields[1], class_ids)
    assert (fields[0].dtype, fields[1].dtype) == (torch.float32, torch.int64)
    assert len(crops) == count
    for crop, mask in zip(crops, masks, strict=True):
        expected = tight_crop(mask)
        assert crop.pixels.dtype == np.bool_
        np.testing.assert_array_equal(crop.pixels, expected.pixels)
        assert crop.area == 0 or (crop.x_offset, crop.y_offset) == (expected.x_offset, expected.y_offset)
        assert crop.pixels.base is None  # its own memory
