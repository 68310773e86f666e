# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN on a GPU: few waits, bounded memory, kernels that are checked before use."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import thin_detectron2
import thin_torchvision
import torch
from pretend_cuda import pretend_cuda
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seg_node.inference import cuda_graph
from seg_node.inference.engine import Engine
from seg_node.models import rcnn
from seg_node.models.assemble import download_crops
from seg_node.models.load import load_model
from seg_node.models.rcnn import fixed_pooling, paste_batched, suppression
from seg_node.types import Frame

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
WAITS: dict[str, tuple[Callable[[Path], tuple[Path, Path]], int]] = {
    "torchvision": (thin_torchvision.write_thin_checkpoint, 3),  # the boxes, the clock, the masks
    "detectron2": (thin_detectron2.write_thin_checkpoint, 3),
    "panoptic_fpn": (thin_detectron2.write_thin_panoptic_checkpoint, 4),  # and the stuff
}


@pytest.mark.parametrize("name", WAITS)
def test_the_host_waits_for_a_steady_frame_only_where_it_must(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graph, "_WARM_UPS", 1)
    write, most = WAITS[name]
    files = write(tmp_path)
    frame = Frame(np.random.default_rng(0).integers(0, 256, (75, 100, 3), np.uint8), "bgr")
    host = Engine(load_model("auto", *files), CPU, "exact")
    expected = host.segment(frame, host.default_options)
    with pretend_cuda(log=False) as gpu:
        engine = Engine(load_model("auto", *files), GPU, "fp32")
        engine.segment(frame, engine.default_options)
        gpu.waits.clear()
        found = engine.segment(frame, engine.default_options)
        assert len(gpu.waits) <= most, gpu.waits
    assert len(found.instances) == len(expected.instances) > 0
    areas = [sorted(mask.area for mask in result.instances.masks) for result in (found, expected)]
    np.testing.assert_allclose(*areas, rtol=0.02, atol=3)


class Largest(TorchDispatchMode):
    """Record the bytes of the largest tensor that an operator returns."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **kwargs or {})
        for tensor in tree_leaves(answer):
            if isinstance(tensor, Tensor) and not func.is_view:
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return answer


def large_boxes(count: int, side: int) -> Tensor:
    return torch.tensor([[0.0, 0.0, side, side]]).expand(count, -1)


@pytest.mark.parametrize("sample", [False, True])
def test_pasting_needs_hardly_more_memory_than_pixels(sample: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paste_batched, "_CHUNK_PIXELS", 10_000)
    random = torch.Generator().manual_seed(0)
    padded = torch.rand(6, 30, 30, generator=random)
    boxes = large_boxes(6, 150) + torch.rand(6, 4, generator=random) * 40
    origins, rects = paste_batched.place_boxes(boxes, 28, (200, 200), "sample" if sample else "resize")
    total = int(rects[-1, 4])
    with Largest() as largest:
        pixels = paste_batched.paste_pixels(padded, origins, rects, total, 0.5, sample)
    assert 0 < int(pixels.sum()) < total
    assert largest.bytes <= max(total, 16 * 10_000)
    monkeypatch.setattr(paste_batched, "_CHUNK_PIXELS", total)
    assert torch.equal(pixels, paste_batched.paste_pixels(padded, origins, rects, total, 0.5, sample))


def test_cropping_masks_needs_little_more_memory_than_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_crops, "_CHUNK_PIXELS", 1000)
    masks = torch.rand(9, 80, 90, generator=torch.Generator().manual_seed(0)) > 0.5
    masks[3] = False
    with Largest() as largest:
        crops, _ = download_crops.download_crops(masks)
    assert [crop.area for crop in crops] == masks.sum(dim=(1, 2)).tolist()
    assert largest.bytes <= masks.numel()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[..., Tensor]], None]]:
    """Replace the Triton kernel by a function."""

    def replace(paste_pixels: Callable[..., Tensor]) -> None:
        module = SimpleNamespace(paste_pixels=paste_pixels)
        monkeypatch.setattr(rcnn, "paste_kernel", module)

    paste_batched.kernel_works.cache_clear()
    yield replace
    paste_batched.kernel_works.cache_clear()


def as_torch(
    padded: Tensor, origins: Tensor, rects: Tensor, total: int, _: int, threshold: float, sample: bool
) -> Tensor:
    return paste_batched.paste_pixels(padded, origins, rects, total, threshold, sample)


@pytest.mark.parametrize("wrong", [None, False, True], ids=str)
def test_the_kernel_is_checked_under_both_rules(wrong: bool | None, stand_in: Any) -> None:
    def kernel(*args: Any) -> Tensor:
        return as_torch(*args) ^ (args[-1] == wrong)

    stand_in(kernel)
    assert paste_batched.kernel_works(CPU) == (wrong is None)


def test_running_out_of_memory_does_not_reject_the_kernel(stand_in: Any) -> None:
    def kernel(*_: Any) -> Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    stand_in(kernel)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        paste_batched.kernel_works(CPU)
    stand_in(as_torch)
    assert paste_batched.kernel_works(CPU)


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("samples", [0, 2])
def test_the_pooling_kernel_is_checked_as_it_is_used(
    samples: int, wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kernel(*args: Any) -> Tensor:
        return fixed_pooling.pool_by_torch(*args) + (1e-4 if wrong and args[4] == samples else 0)

    monkeypatch.setattr(rcnn, "roi_align_kernel", SimpleNamespace(align_levels=kernel))
    fixed_pooling.kernel_works.cache_clear()
    assert fixed_pooling.kernel_works(CPU, torch.float32, 7, samples, True) != wrong
    assert fixed_pooling.kernel_works(CPU, torch.float32, 7, 2 - samples, True)
    fixed_pooling.kernel_works.cache_clear()


@pytest.mark.parametrize("wrong", [None, False, True], ids=str)
def test_the_overlap_kernel_is_checked_with_groups_and_without(
    wrong: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kernel(boxes: Tensor, threshold: float, groups: Tensor | None) -> Tensor:
        return suppression.overlaps_by_torch(boxes, threshold, groups) ^ ((groups is not None) == wrong)

    monkeypatch.setattr(rcnn, "overlap_kernel", SimpleNamespace(overlaps=kernel))
    suppression.kernel_works.cache_clear()
    assert suppression.kernel_works(CPU) == (wrong is None)
    suppression.kernel_works.cache_clear()
