# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The semantic branch of Panoptic FPN matches its definition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from thin_detectron2 import WIDTH, lively_tensors, semantic_shapes
from torch import Tensor, nn

from seg_node.models.rcnn.semantic_head import SemanticHead, classify_pixels


def enlarge(plane: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Resize bilinearly, pixel by pixel, with centres at half coordinates."""
    result = np.zeros(size)
    for y, x in np.ndindex(size):
        v = min(max((y + 0.5) * plane.shape[0] / size[0] - 0.5, 0), plane.shape[0] - 1)
        u = min(max((x + 0.5) * plane.shape[1] / size[1] - 0.5, 0), plane.shape[1] - 1)
        top, left = int(v), int(u)
        bottom, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
        above = plane[top, left] * (left + 1 - u) + plane[top, right] * (u - left)
        below = plane[bottom, left] * (left + 1 - u) + plane[bottom, right] * (u - left)
        result[y, x] = above * (top + 1 - v) + below * (v - top)
    return result


@pytest.mark.parametrize("image_size", [(17, 41), (9, 11), (23, 30)])
def test_pixels_get_the_class_that_is_highest_after_both_enlargements(image_size: tuple[int, int]) -> None:
    logits = torch.randn(5, 8, 8, generator=torch.Generator().manual_seed(0))
    input_size = (23, 30)  # of the padded 32 x 32
    ours = classify_pixels(logits, input_size, image_size).numpy()
    planes = [
        enlarge(enlarge(plane, (32, 32))[: input_size[0], : input_size[1]], image_size)
        for plane in logits.double().numpy()
    ]
    sorted_planes = np.sort(planes, axis=0)
    clear = sorted_planes[-1] - sorted_planes[-2] > 1e-5
    assert ours.shape == image_size and clear.mean() > 0.99
    np.testing.assert_array_equal(ours[clear], np.argmax(planes, axis=0)[clear])


@pytest.mark.parametrize("classes", [1, 2, 5, 54, 300])
@pytest.mark.parametrize("image_size", [(150, 211), (23, 30), (3, 5)])
def test_both_resizings_as_one_give_the_same_classes(classes: int, image_size: tuple[int, int]) -> None:
    logits = torch.randn(classes, 8, 9, generator=torch.Generator().manual_seed(classes))
    enlarged = F.interpolate(logits[None], scale_factor=4, mode="bilinear")[..., :23, :30]
    values = F.interpolate(enlarged, size=image_size, mode="bilinear")[0].sort(0, descending=True)
    clear = torch.ones(image_size, dtype=torch.bool)
    if classes > 1:
        clear = values.values[0] - values.values[1] > 1e-5

    found = classify_pixels(logits, (23, 30), image_size)

    assert clear.float().mean() > 0.99
    assert torch.equal(found[clear].long(), values.indices[0][clear])


def test_first_of_equal_classes_wins() -> None:
    assert torch.all(classify_pixels(torch.zeros(3, 8, 8), (32, 32), (20, 20)) == 0)
    logits = torch.zeros(3, 8, 8)
    logits[1:] = 1
    assert torch.all(classify_pixels(logits, (32, 32), (20, 20)) == 1)


def test_levels_are_brought_to_stride_4_and_added() -> None:
    tensors = lively_tensors(semantic_shapes())
    head = SemanticHead(
        WIDTH, [(64,), (64,), (64, 64), (64, 64, 64)], 54, lambda channels: nn.GroupNorm(32, channels)
    ).eval()
    random = torch.Generator().manual_seed(2)
    features = [torch.randn(2, WIDTH, 32 >> i, 48 >> i, generator=random) for i in range(4)]

    total = torch.zeros(2, 64, 32, 48)
    names = dict(head.named_parameters())
    with torch.inference_mode():
        for level, x in enumerate(features):
            for i in range(max(level, 1)):
                name = f"sem_seg_head.p{level + 2}.{2 * i}"
                x = F.conv2d(x, tensors[f"{name}.weight"], padding=1)
                x = F.relu(F.group_norm(x, 32, tensors[f"{name}.norm.weight"], tensors[f"{name}.norm.bias"]))
                if level > 0:
                    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
                for part, theirs in (
                    ("0.weight", "weight"),
                    ("1.weight", "norm.weight"),
                    ("1.bias", "norm.bias"),
                ):
                    names[f"levels.{level}.{2 * i}.{part}"].copy_(tensors[f"{name}.{theirs}"])
            total += x
        for part in ("weight", "bias"):
            names[f"predictor.{part}"].copy_(tensors[f"sem_seg_head.predictor.{part}"])
        expected: Tensor = F.conv2d(
            total, tensors["sem_seg_head.predictor.weight"], tensors["sem_seg_head.predictor.bias"]
        )
        torch.testing.assert_close(head([*features, torch.zeros(1)]), expected, rtol=0, atol=1e-4)
