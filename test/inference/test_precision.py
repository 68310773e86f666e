# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Precisions: their choice, their changes to a network, and how close results stay to the exact ones."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from float32_settings import restored_float32_settings
from numpy.typing import NDArray
from pretend_cuda import pretend_cuda
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from seg_node.inference import precision as precision_module
from seg_node.inference.engine import Engine
from seg_node.inference.fused_convolution import CudnnConvolution, FusedConvolution, fuse_activations
from seg_node.inference.precision import Precision, apply_precision, choose_precision, full_float32
from seg_node.masks.overlap import intersection_areas, mask_areas, mask_ious
from seg_node.models.layers.backbones import Block, FeaturePyramid, ResNet, ResNetSpec
from seg_node.models.layers.efficientnet_lite import EfficientNetLite0
from seg_node.models.load import load_model
from seg_node.models.yolact.darknet import DarkNet, DarkNetSpec
from seg_node.sources.source import read_bag
from seg_node.types import Frame, Instances

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
BASIC = ResNetSpec(16, (2, 2, 2, 2), (16, 32, 64, 96), (16, 32, 64, 96), bottleneck=False)
BOTTLENECK = ResNetSpec(16, (2, 2, 2, 2), (8, 16, 24, 32), (32, 64, 96, 128), groups=2)
NETWORKS = {
    "basic": lambda: ResNet(BASIC, nn.BatchNorm2d),
    "bottleneck": lambda: ResNet(BOTTLENECK, partial(FrozenBatchNorm2d, eps=1e-5)),
    "efficientnet": lambda: EfficientNetLite0(norm=True),
    "darknet": lambda: DarkNet(DarkNetSpec(8, (16, 32, 64), (1, 2, 1))),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    """Return a network with random weights and random statistics of its norms."""
    torch.manual_seed(0)
    network = NETWORKS[request.param]()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif name.endswith("running_mean"):
            tensor.normal_(0, 0.3)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, (nn.BatchNorm2d, FrozenBatchNorm2d)) for module in network.modules())


def sample() -> Tensor:
    random = torch.Generator().manual_seed(7)
    return torch.randn(1, 3, 64, 96, generator=random).to(memory_format=torch.channels_last)


def answer(network: nn.Module) -> list[Tensor]:
    with torch.inference_mode():
        return network(sample())


def relative_error(found: list[Tensor], expected: list[Tensor]) -> float:
    return max(float((f.float() - e).norm() / e.norm()) for f, e in zip(found, expected, strict=True))


def test_exact_leaves_the_network_alone(network: nn.Module) -> None:
    before, count = answer(network), norms(network)
    apply_precision(network, "exact")
    assert norms(network) == count > 0
    assert all(torch.equal(a, b) for a, b in zip(answer(network), before, strict=True))


def test_norms_become_part_of_their_convolutions(network: nn.Module) -> None:
    expected = answer(network)
    apply_precision(network, "fp32")
    assert norms(network) == 0
    assert relative_error(answer(network), expected) < 1e-5


def test_bfloat16_is_near_and_not_the_same(network: nn.Module) -> None:
    expected = answer(network)
    apply_precision(network, "bf16")
    assert 1e-4 < relative_error(answer(network), expected) < 0.05


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_convolutions_compute_their_activations(network: nn.Module, precision: str) -> None:
    apply_precision(network, precision)  # type: ignore[arg-type]
    expected = [x.float() for x in answer(network)]
    activations = sum(isinstance(module, (nn.ReLU, nn.ReLU6, nn.LeakyReLU)) for module in network.modules())
    fuse_activations(network)
    assert activations > 5
    assert sum(isinstance(module, FusedConvolution) for module in network.modules()) == activations
    assert relative_error(answer(network), expected) < (1e-2 if precision == "bf16" else 1e-6)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_on_a_gpu_cudnn_computes_convolutions_with_their_relu(
    network: nn.Module, precision: Precision
) -> None:
    apply_precision(network, precision)
    expected = answer(network)
    blocks = sum(isinstance(module, Block) for module in network.modules())
    with pretend_cuda() as gpu, full_float32(), torch.inference_mode():
        network.to("cuda")
        fuse_activations(network)
        found = [stage.cpu() for stage in network(sample().to("cuda"))]
    assert sum("cudnn_convolution_add_relu" in work.name for work in gpu.log) == blocks
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_a_layer_that_cudnn_refuses_goes_on_in_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(*arguments: object) -> Tensor:
        calls.append(arguments)
        raise RuntimeError("Unable to find an engine to execute this computation")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", refuse)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", refuse)
    random = torch.Generator().manual_seed(0)
    x, shortcut = torch.rand(1, 3, 6, 9, generator=random), torch.rand(1, 4, 3, 5, generator=random)
    with torch.inference_mode():
        for added in (None, shortcut):
            layer = CudnnConvolution(nn.Conv2d(3, 4, 3, stride=2, padding=1))
            for _ in range(2):
                plain = layer.conv(x) if added is None else layer.conv(x) + added
                assert torch.equal(layer(x, added), plain.relu())
    assert len(calls) == 2


def settings() -> list[str]:
    owners = torch.backends.cudnn.conv, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    return [owner.fp32_precision for owner in owners]


@pytest.mark.parametrize("change", ["nothing", "matmul", "everything"])
def test_float32_is_whole_inside_whatever_the_program_has_set(change: str) -> None:
    with restored_float32_settings():
        if change == "matmul":
            torch.set_float32_matmul_precision("medium")
        if change == "everything":
            torch.backends.fp32_precision = "tf32"
        before = settings()
        with full_float32(), full_float32():
            assert settings() == ["ieee"] * 3
        assert settings() == before


def test_two_threads_share_whole_float32_until_the_last_one_leaves() -> None:
    before = settings()
    first, second = full_float32(), full_float32()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert settings() == ["ieee"] * 3
    second.__exit__(None, None, None)
    assert settings() == before


def test_a_pyramids_linear_convolutions_stay_linear() -> None:
    pyramid = FeaturePyramid((8, 16), 8, None).eval()
    fuse_activations(pyramid)
    assert not any(isinstance(module, FusedConvolution) for module in pyramid.modules())


@pytest.mark.parametrize(("units", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_takes_the_fastest_that_the_processor_has(
    units: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_module, "has_bfloat16_units", lambda: units)
    assert choose_precision("auto", CPU) == expected


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), "bf16"), ((8, 7), "bf16"), ((7, 2), "fp16")])
def test_auto_takes_what_the_gpu_has_units_for(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda:0")) == expected


def test_what_cannot_be_is_refused_with_the_cure() -> None:
    with pytest.raises(RuntimeError, match="fp16 is for GPUs: choose bf16, fp32 or auto"):
        choose_precision("fp16", CPU)
    with pytest.raises(ValueError, match="'int8' is not known; use auto, exact, fp32, bf16, fp16"):
        choose_precision("int8", CPU)


@pytest.fixture(scope="module")
def frame() -> Frame:
    """Return a picture of a table with objects, as seen by a robot's camera."""
    _, frame = next(iter(read_bag(ROOT / "demo/tabletop")))
    return frame


def segment(frame: Frame, precision: str) -> Instances:
    engine = Engine(load_model(), CPU, precision)
    return engine.segment(frame, replace(engine.default_options, score_threshold=0.3)).instances


@pytest.fixture(scope="module")
def exact(frame: Frame) -> Instances:
    found = segment(frame, "exact")
    assert len(found) > 8
    return found


def test_fp32_differs_from_exact_by_rounding_only(frame: Frame, exact: Instances) -> None:
    found = segment(frame, "fp32")
    assert found.class_ids.tolist() == exact.class_ids.tolist()
    np.testing.assert_allclose(found.scores, exact.scores, atol=2e-4)
    np.testing.assert_allclose(found.boxes_xyxy, exact.boxes_xyxy, atol=1e-2)
    assert ious(exact, found).min() > 0.99


def test_bf16_finds_nearly_what_exact_finds(frame: Frame, exact: Instances) -> None:
    found = segment(frame, "bf16")
    overlaps = ious(exact, found)
    assert (overlaps > 0.9).mean() > 0.7
    assert (overlaps < 1).any()


def ious(expected: Instances, found: Instances) -> NDArray[np.float64]:
    """Return the IoU of each expected object with the object of its class found in its place."""
    areas = mask_areas(expected.masks), mask_areas(found.masks)
    overlaps = mask_ious(intersection_areas(expected.masks, found.masks), *areas)
    return (overlaps * (expected.class_ids[:, None] == found.class_ids)).max(axis=1)


def test_the_engine_reports_its_precision(thin_checkpoint: tuple[Path, Path]) -> None:
    assert Engine(load_model("auto", *thin_checkpoint), CPU).precision == "exact"
    assert Engine(load_model("auto", *thin_checkpoint), CPU, "auto").precision in ("fp32", "bf16")
