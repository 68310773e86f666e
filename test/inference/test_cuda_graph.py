# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs: results are the same, and where recording fails the network warns and runs without."""

import gc
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pretend_cuda import PretendGpu, pretend_cuda
from thin_models import MODELS
from torch import Tensor

from seg_node.inference import cuda_graph
from seg_node.inference.cuda_graph import CudaGraphs, drop_cuda_graphs, use_cuda_graphs
from seg_node.inference.engine import Engine
from seg_node.inference.fused_convolution import fuse_activations
from seg_node.inference.precision import apply_precision
from seg_node.models.load import load_model
from seg_node.models.rcnn.model import RCNNModel
from seg_node.types import Frame

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_function_itself_runs_and_recording_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def double(pixels: Tensor, plus: int) -> Tensor:
        return pixels * 2 + plus

    graphs = CudaGraphs(double)
    with caplog.at_level(logging.WARNING):
        for plus in range(20):
            assert graphs(torch.ones(3), plus).tolist() == [2 + plus] * 3
    assert len([record for record in caplog.records if "without CUDA graphs" in record.message]) == 6


def test_mask_rcnn_is_recorded_whole_and_an_exported_network_not(thin_checkpoint: tuple[Path, Path]) -> None:
    model = load_model("auto", *thin_checkpoint)
    assert isinstance(model, RCNNModel)
    recorded = use_cuda_graphs(model)
    assert isinstance(recorded, RCNNModel)
    assert isinstance(recorded.fixed, CudaGraphs) and recorded.dense is None
    exported = replace(model, dense=model.network)
    assert use_cuda_graphs(exported) is exported
    assert (model.dense, model.fixed) == (None, None)  # the model itself stays as it is


@pytest.mark.parametrize("name", ["yolact", "solov2"])
def test_other_networks_are_recorded_as_their_dense_part(name: str) -> None:
    model = MODELS[name]()
    recorded = use_cuda_graphs(model)
    assert isinstance(recorded, type(model)) and isinstance(recorded.dense, CudaGraphs)
    assert recorded.network is model.network and model.dense is None


def test_model_without_a_dense_part_is_not_recorded(tmp_path: Path) -> None:
    thin_transformers = pytest.importorskip("thin_transformers", reason="transformers is missing")
    model = load_model("auto", *thin_transformers.write_thin_checkpoint(tmp_path))
    assert use_cuda_graphs(model) is model
    assert drop_cuda_graphs(model) == 0


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("size", [(150, 200), (200, 150)])
def test_a_graph_answers_new_images_as_the_plain_way_does(
    thin_checkpoint: tuple[Path, Path], size: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    device = torch.device("cuda:0")
    graphed = Engine(load_model("auto", *thin_checkpoint), device, "fp32")
    plain_model = load_model("auto", *thin_checkpoint)
    plain_model.network.to(device)
    apply_precision(plain_model.network, "fp32")
    fuse_activations(plain_model.network)
    plain = Engine(plain_model, device)  # "exact" records nothing
    random = np.random.default_rng(0)
    for max_instances in (100, 100, 5):
        frame = Frame(random.integers(0, 256, (*size, 3), np.uint8), "bgr")
        options = replace(plain.default_options, max_instances=max_instances)
        found, expected = (engine.segment(frame, options).instances for engine in (graphed, plain))
        assert len(expected) > 0
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
        np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=1e-2)
    assert "without CUDA graphs" not in caplog.text


@dataclass(frozen=True)
class Chosen:
    """Options like a family's: a number that the device reads, and one that kernels depend on."""

    threshold: float
    count: int


GPU, OTHER = torch.device("cuda", 0), torch.device("cuda", 1)


@pytest.fixture
def gpu() -> Iterator[PretendGpu]:
    with pretend_cuda() as gpu, torch.inference_mode():
        yield gpu


def images(count: int, width: int = 4, device: torch.device = GPU) -> Tensor:
    return torch.rand(count, 3, 2, width, generator=torch.Generator().manual_seed(count)).to(device)


def above(pixels: Tensor, sizes: tuple[int, ...], chosen: Chosen) -> tuple[Tensor, Tensor]:
    """A small network: for each image its size and the best numbers above a threshold."""
    best = pixels.flatten(1).topk(chosen.count).values
    own = torch.stack([one.new_full((1,), size) for one, size in zip(pixels, sizes, strict=True)])
    return best * (best > chosen.threshold), own


def test_a_threshold_that_moves_records_nothing_and_acts(gpu: PretendGpu) -> None:
    graphs, pixels = CudaGraphs(above), images(2)
    for threshold in np.linspace(0, 1, 20).tolist():
        best, own = graphs(pixels, (5, 6), Chosen(threshold, 3))
        assert torch.equal(best.cpu(), above(pixels.cpu(), (5, 6), Chosen(threshold, 3))[0])
        assert own.tolist() == [[5], [6]]
    assert gpu.captures == 1
    graphs(pixels, (5, 6), Chosen(0.5, 2))
    assert gpu.captures == 2


def test_batches_share_the_graphs_of_1_2_4_and_8_images(gpu: PretendGpu) -> None:
    graphs = CudaGraphs(above)
    for count in (*range(1, 18), *range(17, 0, -1)):
        pixels = images(count)
        best, own = graphs(pixels, (7,) * count, Chosen(0.3, 3))
        expected, _ = above(pixels.cpu(), (7,) * count, Chosen(0.3, 3))
        assert torch.equal(best.cpu(), expected) and len(own) == count
    assert gpu.captures == 6  # and of 16 and 24


def test_a_new_frame_does_not_wait(gpu: PretendGpu) -> None:
    graphs, pixels = CudaGraphs(above), images(2)
    graphs(pixels, (1, 1), Chosen(0.1, 3))
    gpu.waits.clear()
    graphs(pixels, (1, 1), Chosen(0.9, 3))
    assert gpu.waits == []


def test_the_oldest_graphs_are_forgotten_by_number_and_by_memory(
    gpu: PretendGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = CudaGraphs(lambda pixels: pixels * 2)
    monkeypatch.setattr(cuda_graph, "MOST_GRAPHS", 3)
    for width in (1, 2, 3, 4, 4, 3, 2, 1):
        graphs(images(1, width))
    assert gpu.captures == 5
    monkeypatch.setattr(cuda_graph, "_SHARE", 1 << 40)  # no memory at all: only the newest stays
    for width in (9, 8, 9):
        graphs(images(1, width))
    assert gpu.captures == 8
    assert graphs.drop() == 1


class Unruly:
    """A function whose recording fails a number of times for images of some widths."""

    def __init__(self, failures: dict[int, int]) -> None:
        self.failures = failures

    def __call__(self, pixels: Tensor) -> Tensor:
        width = pixels.shape[-1]
        if torch.cuda.is_current_stream_capturing() and self.failures.get(width, 0):
            self.failures[width] -= 1
            raise RuntimeError("operation not permitted when stream is capturing")
        return pixels * 2


def test_a_recording_that_fails_once_is_tried_again(
    gpu: PretendGpu, caplog: pytest.LogCaptureFixture
) -> None:
    graphs = CudaGraphs(Unruly({4: 1}))
    for _ in range(3):
        assert torch.equal(graphs(images(1)).cpu(), images(1).cpu() * 2)
    assert (gpu.captures, gpu.replays) == (1, 2)
    assert caplog.text.count("recording one failed: operation not permitted") == 1


def test_a_recording_that_always_fails_leaves_the_others_alone(gpu: PretendGpu) -> None:
    graphs = CudaGraphs(Unruly({4: 99}))
    for width in (4, 5, 4, 5, 4, 5):
        assert torch.equal(graphs(images(1, width)).cpu(), images(1, width).cpu() * 2)
    assert (gpu.captures, gpu.replays) == (1, 3)


def test_memory_that_runs_out_is_the_callers_matter(gpu: PretendGpu) -> None:
    graphs = CudaGraphs(lambda pixels: pixels * 2)
    pixels = images(1)
    gpu.memory.limit = gpu.memory.used
    with pytest.raises(torch.cuda.OutOfMemoryError):
        graphs(pixels)
    gpu.memory.limit = 1 << 30
    graphs(pixels)
    assert gpu.captures == 1


def test_memory_that_runs_out_is_not_hidden_by_the_end_of_the_recording(gpu: PretendGpu) -> None:
    def run_out(pixels: Tensor) -> Tensor:
        try:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        CudaGraphs(run_out)(images(1))


def test_cudnn_searches_only_while_a_graph_is_recorded_and_garbage_is_not_collected(gpu: PretendGpu) -> None:
    seen = []

    def look(pixels: Tensor) -> Tensor:
        capturing = torch.cuda.is_current_stream_capturing()
        seen.append((capturing, gc.isenabled(), torch.backends.cudnn.benchmark))
        return pixels * 2

    CudaGraphs(look)(images(1))
    assert set(seen) == {(False, True, True), (True, False, True)}
    assert gc.isenabled() and not torch.backends.cudnn.benchmark


def test_another_thread_may_wait_for_its_gpu_meanwhile(gpu: PretendGpu) -> None:
    problems: list[BaseException] = []

    def wait() -> None:
        try:
            torch.cuda.synchronize()
        except BaseException as problem:
            problems.append(problem)

    def run_beside(pixels: Tensor) -> Tensor:
        if torch.cuda.is_current_stream_capturing():
            thread = threading.Thread(target=wait)
            thread.start()
            thread.join()
        return pixels * 2

    CudaGraphs(run_beside)(images(1))
    assert gpu.captures == 1 and problems == []


def test_two_gpus_record_on_streams_of_their_own(gpu: PretendGpu) -> None:
    for device in (OTHER, GPU):
        graphs, pixels = CudaGraphs(lambda pixels: pixels * 2), images(1, device=device)
        with torch.cuda.device(device):
            assert torch.equal(graphs(pixels).cpu(), pixels.cpu() * 2)
    assert gpu.captures == 2


def test_threads_record_one_at_a_time(gpu: PretendGpu) -> None:
    started, problems = threading.Barrier(2, timeout=60), []

    def slow(pixels: Tensor) -> Tensor:
        for _ in range(50):
            pixels = pixels + 1
        return pixels

    def run() -> None:
        try:
            with gpu, torch.inference_mode():
                started.wait()
                CudaGraphs(slow)(pixels)
        except BaseException as problem:
            problems.append(problem)

    pixels = images(1)
    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [] and gpu.captures == 2
