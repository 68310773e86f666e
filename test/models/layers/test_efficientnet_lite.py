# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The light backbone has the documented strides and widths, TensorFlow's padding and folded batch norms."""

import pytest
import torch
import torch.nn.functional as F

from seg_node.models.layers.efficientnet_lite import OUT_CHANNELS, EfficientNetLite0


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (320, 224)])
def test_the_maps_have_stride_4_8_16_and_32(height: int, width: int) -> None:
    with torch.inference_mode():
        maps = EfficientNetLite0().eval()(torch.zeros(2, 3, height, width))
    strides = (4, 8, 16, 32)
    expected = [(2, c, height // s, width // s) for c, s in zip(OUT_CHANNELS, strides, strict=True)]
    assert [tuple(feature.shape) for feature in maps] == expected


def test_folded_weights_have_biases_and_no_norms() -> None:
    names = EfficientNetLite0().state_dict()
    assert len(names) == 2 * (1 + 2 + 15 * 3)  # stem, the block without expansion, 15 others
    assert all(name.endswith((".conv.weight", ".conv.bias")) for name in names)
    assert any(".bn.running_var" in name for name in EfficientNetLite0(norm=True).state_dict())


@pytest.mark.parametrize("kernel", [3, 5])
def test_stride_2_pads_like_tensorflow(kernel: int) -> None:
    block = EfficientNetLite0().blocks[1 if kernel == 3 else 3].depthwise[:-1]
    x = torch.rand(1, block.conv.in_channels, 8, 12)
    total = kernel - 2  # (ceil(n / 2) - 1) * 2 + kernel - n for even n
    left, right = total // 2, total - total // 2
    weight, bias = block.conv.weight, block.conv.bias
    expected = F.conv2d(F.pad(x, (left, right, left, right)), weight, bias, 2, groups=x.shape[1])
    torch.testing.assert_close(block(x), expected)
    assert left < right
