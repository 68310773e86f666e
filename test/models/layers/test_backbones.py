# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""ResNets built from their tensors match torchvision's; the stride can be in either convolution."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from thin_torchvision import make_lively
from torch import nn
from torchvision.models import resnet
from torchvision.models._utils import IntermediateLayerGetter

from seg_node.models.layers.backbones import FeaturePyramid, ResNet, ResNetSpec, read_resnet_spec

RESNET50 = ResNetSpec(64, (3, 4, 6, 3), (64, 128, 256, 512), (256, 512, 1024, 2048))
RESNET18 = ResNetSpec(64, (2, 2, 2, 2), (64, 128, 256, 512), (64, 128, 256, 512), bottleneck=False)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (resnet.resnet18, RESNET18),
        (resnet.resnet50, RESNET50),
        (resnet.resnet101, replace(RESNET50, blocks=(3, 4, 23, 3))),
        (
            resnet.resnext101_32x8d,
            replace(RESNET50, blocks=(3, 4, 23, 3), mid_channels=(256, 512, 1024, 2048), groups=32),
        ),
    ],
)
def test_architecture_is_read_off_the_tensors(build: Callable[[], nn.Module], expected: ResNetSpec) -> None:
    with torch.device("meta"):
        theirs = build()
        theirs.fc = nn.Identity()
        tensors = theirs.state_dict()
        spec = read_resnet_spec({f"body.{name}": tensor for name, tensor in tensors.items()}, "body.")
        ours = ResNet(spec, nn.BatchNorm2d).state_dict()
    assert spec == expected
    assert {name: tensor.shape for name, tensor in ours.items()} == {k: v.shape for k, v in tensors.items()}


@pytest.mark.parametrize("build", [resnet.resnet18, resnet.resnext50_32x4d])
def test_stages_are_those_of_torchvision(build: Callable[[], nn.Module]) -> None:
    theirs = build().eval()
    make_lively(theirs, 0)
    tensors = theirs.state_dict()
    ours = ResNet(read_resnet_spec(tensors, ""), nn.BatchNorm2d).eval()
    ours.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")})
    stages = IntermediateLayerGetter(theirs, {f"layer{i}": str(i) for i in (1, 2, 3, 4)})
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = stages(image).values()
        for level, (stage, theirs_stage) in enumerate(zip(ours(image), expected, strict=True)):
            assert stage.shape[-2:] == (16 >> level, 24 >> level)
            torch.testing.assert_close(stage, theirs_stage, rtol=1e-5, atol=1e-5)


def test_the_stride_is_in_the_chosen_convolution() -> None:
    thin = ResNetSpec(4, (1, 1, 1, 1), (4, 4, 4, 4), (8, 8, 8, 8))
    for in_1x1 in (False, True):
        network = ResNet(replace(thin, stride_in_1x1=in_1x1), nn.BatchNorm2d).eval()
        block = network.layer2[0]
        assert block.conv1.stride == ((2, 2) if in_1x1 else (1, 1))
        assert block.conv2.stride == ((1, 1) if in_1x1 else (2, 2))
        assert network.layer1[0].conv1.stride == network.layer1[0].conv2.stride == (1, 1)
        assert network(torch.zeros(1, 3, 32, 64))[-1].shape == (1, 8, 1, 2)


def test_pyramid_adds_the_coarser_level_and_ends_with_every_second_element() -> None:
    """With identity convolutions each level is itself plus the coarser one, each of its pixels repeated."""
    pyramid = FeaturePyramid([1, 1], 1, None)
    for name, parameter in pyramid.named_parameters():
        nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.dirac_(parameter)
    fine = torch.arange(12.0).reshape(1, 1, 3, 4)
    coarse = torch.tensor([[[[100.0, 200.0], [300.0, 400.0]]]])
    with torch.inference_mode():
        first, second, last = pyramid([fine, coarse])
    assert first[0, 0].tolist() == [
        [100, 101, 202, 203],
        [104, 105, 206, 207],
        [308, 309, 410, 411],
    ]
    assert torch.equal(second, coarse)
    assert last.tolist() == [[[[100.0]]]]
