# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Deformable convolutions match a slow plain reference."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seg_node.models.layers.deformable import DeformableConv2d, make_deformable


def sample(plane: Tensor, y: float, x: float) -> float:
    """Sample bilinearly, zero outside."""
    total, top, left = 0.0, math.floor(y), math.floor(x)
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
            total += float(plane[row, column]) * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def slow_deformable(x: Tensor, layer: DeformableConv2d, stride: int) -> Tensor:
    """Convolve one image (C, H, W) tap by tap at shifted places, times each tap's weight."""
    shifts = layer.conv_offset(x[None])[0]
    result = layer.bias[:, None, None].expand(-1, *shifts.shape[1:]).clone()
    for row in range(shifts.shape[1]):
        for column in range(shifts.shape[2]):
            for tap in range(9):
                y = row * stride - 1 + tap // 3 + float(shifts[2 * tap, row, column])
                at = column * stride - 1 + tap % 3 + float(shifts[2 * tap + 1, row, column])
                taken = torch.tensor([sample(plane, y, at) for plane in x])
                weight = shifts[18 + tap, row, column].sigmoid()
                result[:, row, column] += layer.weight[:, :, tap // 3, tap % 3] @ taken * weight
    return result


@pytest.mark.parametrize("stride", [1, 2])
def test_taps_are_shifted_and_weighted(stride: int) -> None:
    torch.manual_seed(0)
    layer = DeformableConv2d(nn.Conv2d(3, 4, 3, stride, 1), modulated=True, bias=True)
    with torch.inference_mode():
        for parameter in layer.parameters():
            parameter.normal_(0, 0.3)
        x = torch.randn(3, 7, 6)
        np.testing.assert_allclose(layer(x[None])[0], slow_deformable(x, layer, stride), atol=1e-5)


def test_only_the_convolutions_with_offsets_are_replaced() -> None:
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1)), nn.Conv2d(5, 5, 3, padding=1))
    names = ("0.0.weight", "0.0.bias", "0.0.conv_offset.weight", "1.weight")
    make_deformable(network, {name: torch.zeros(27, 3, 3, 3) for name in names})
    assert isinstance(network[1], nn.Conv2d)
    shapes = {name: tuple(tensor.shape) for name, tensor in network[0].state_dict().items()}
    assert shapes == {
        "0.weight": (5, 3, 3, 3),
        "0.bias": (5,),
        "0.conv_offset.weight": (27, 3, 3, 3),
        "0.conv_offset.bias": (27,),
    }
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 5, 4, 4)
