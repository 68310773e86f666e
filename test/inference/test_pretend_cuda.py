# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The emulated CUDA device enforces CUDA's rules: breaking any of them is noticed."""

import gc
import threading
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from pretend_cuda import Broken, PretendGpu, PretendTensor, pretend_cuda
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torchvision.ops import nms

GPU, OTHER = torch.device("cuda", 0), torch.device("cuda", 1)


@pytest.fixture(autouse=True)
def gpu() -> Iterator[PretendGpu]:
    with pretend_cuda() as gpu, torch.inference_mode():
        yield gpu


def record(function: Callable[[], Tensor], pool: object = None) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        answer = function()
    return graph, answer


def on_gpu(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32, device=GPU)


def test_tensors_report_their_device_and_hold_real_numbers() -> None:
    x = on_gpu(1, 2, 3)
    assert x.is_cuda and x.device == (x * 2).device == GPU
    assert (x * 2 + 1).cpu().tolist() == [3, 5, 7]
    assert torch.arange(3, device="cuda:1").device == OTHER
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        x.numpy()


def test_a_network_moves_to_the_device_and_computes_what_it_did() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    pixels = torch.rand(2, 3, 8, 9)
    expected = network(pixels)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = network.to(GPU)(pixels.to(GPU))
    assert isinstance(found, PretendTensor)
    torch.testing.assert_close(found.cpu(), expected)


@pytest.mark.parametrize("other", ["cpu", "cuda:1"])
def test_tensors_of_two_devices_do_not_mix(other: str) -> None:
    with pytest.raises(Broken, match=f"tensors on cuda:0 and {other}"):
        on_gpu(1, 2) + torch.ones(2, device=other)


def test_a_number_on_the_cpu_mixes_with_every_device() -> None:
    assert (on_gpu(1, 2) + torch.tensor(3.0)).tolist() == [4, 5]


def test_operators_need_a_kernel() -> None:
    x = torch.rand(1, 1, 4, 4, device=GPU)
    with pytest.raises(Broken, match="_convolution_pointwise has no CUDA kernel"):
        torch.ops.mkldnn._convolution_pointwise(x, x, None, [0, 0], [1, 1], [1, 1], 1, "relu", [], "")


WAITING: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "nonzero": lambda x: x.nonzero(),
    "boolean index": lambda x: x[x > 1],
    "index on the CPU": lambda x: x[torch.tensor([1])],
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x),
    "repeat_interleave": lambda x: x.repeat_interleave(torch.ones(3, dtype=torch.int64, device=GPU)),
    "nms": lambda x: nms(x[:, None].expand(3, 4), x, 0.5),
    "download": lambda x: x.cpu(),
    "upload": lambda x: torch.ones(3).to(GPU),
    "into pageable": lambda x: torch.empty(3).copy_(x, non_blocking=True),
    "stream.synchronize": lambda x: torch.cuda.current_stream().synchronize(),
    "torch.cuda.synchronize": lambda x: torch.cuda.synchronize(),
}


@pytest.mark.parametrize("name", WAITING)
def test_what_makes_the_host_wait_is_noted_and_refused_in_a_graph(name: str, gpu: PretendGpu) -> None:
    x = on_gpu(1, 2, 3)
    gpu.waits.clear()
    WAITING[name](x)
    assert [name in wait.reason for wait in gpu.waits] == [True]
    with pytest.raises(Broken, match="while a graph is recorded"):
        record(lambda: WAITING[name](x))  # type: ignore[arg-type,return-value]


def test_what_needs_no_number_from_the_device_does_not_wait(gpu: PretendGpu) -> None:
    x = on_gpu(1, 2, 3)
    gpu.waits.clear()
    x[x > 1] = 0
    x.repeat_interleave(torch.ones(3, dtype=torch.int64, device=GPU), output_size=3)
    x[torch.arange(2, device=GPU)].topk(1)
    pinned = torch.empty(3, pin_memory=True)
    pinned.copy_(x, non_blocking=True)
    pinned.to(GPU, non_blocking=True)
    assert gpu.waits == []


def test_a_download_that_does_not_wait_needs_pinned_memory() -> None:
    with pytest.raises(Broken, match="not there yet"):
        on_gpu(1).to("cpu", non_blocking=True)


def test_pinned_memory_is_left_alone_until_its_copy_has_ended(gpu: PretendGpu) -> None:
    pinned = torch.zeros(4).pin_memory()
    assert pinned.is_pinned() and not torch.zeros(4).is_pinned()
    pinned.to(GPU, non_blocking=True)
    pinned.fill_(1)
    with pytest.raises(Broken, match="changed before the copy"):
        gpu.synchronise()


def test_a_download_is_there_once_its_event_is_and_not_before() -> None:
    early, late = (torch.empty(2, pin_memory=True) for _ in range(2))
    one, other = on_gpu(1, 2), on_gpu(3, 4)
    early.copy_(one, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    late.copy_(other, non_blocking=True)
    assert early.isnan().all()
    event.synchronize()
    assert early.tolist() == [1, 2] and late.isnan().all()


def test_an_event_is_recorded_before_it_is_used() -> None:
    with pytest.raises(Broken, match="never recorded"):
        torch.cuda.Event().synchronize()
    with pytest.raises(Broken, match="without timing"):
        torch.cuda.current_stream().record_event().elapsed_time(torch.cuda.Event(enable_timing=True))


def test_a_graph_runs_its_operators_again_in_the_same_memory(gpu: PretendGpu) -> None:
    x = on_gpu(1, 2)
    graph, doubled = record(lambda: (x * 2).add_(1))
    x.copy_(on_gpu(5, 6))
    graph.replay()
    assert doubled.tolist() == [11, 13]
    assert (gpu.captures, gpu.replays) == (1, 1)


def test_only_empty_pinned_memory_holds_nonsense() -> None:
    assert torch.zeros(3, dtype=torch.bool, pin_memory=True).tolist() == [False] * 3
    assert torch.ones(2, pin_memory=True).tolist() == [1.0, 1.0]
    assert torch.empty(2, pin_memory=True).isnan().all()


def test_pinned_memory_is_not_allocated_while_a_graph_is_recorded() -> None:
    for allocate in (lambda: torch.empty(3, pin_memory=True), lambda: torch.ones(3).pin_memory()):
        with pytest.raises(Broken, match="pinned memory is allocated"):
            record(allocate)


def test_numbers_are_not_uploaded_while_a_graph_is_recorded() -> None:
    pinned = torch.ones(3).pin_memory()
    for upload in (lambda: torch.tensor([1.0], device=GPU), lambda: pinned.to(GPU, non_blocking=True)):
        with pytest.raises(Broken, match="upload"):
            record(upload)


def test_a_graph_cannot_outlive_what_it_reads() -> None:
    held = [on_gpu(1, 2)]
    graph, _ = record(lambda: held[0] * 2)
    graph.replay()
    held.clear()
    with pytest.raises(Broken, match="memory which was given back"):
        graph.replay()
    with pytest.raises(Broken, match="holds nothing"):
        torch.cuda.CUDAGraph().replay()


def test_graphs_of_one_pool_overwrite_each_others_answers() -> None:
    x = on_gpu(1, 2)
    pool = torch.cuda.graph_pool_handle()
    (first, one), (second, two), (alone, three) = (record(lambda: x + 1, pool=p) for p in (pool, pool, None))
    alone.replay()
    first.replay()
    second.replay()
    assert one.isnan().all() and two.tolist() == three.tolist() == [2, 3]


def test_one_graph_is_recorded_at_a_time_on_its_own_device() -> None:
    with pytest.raises(Broken, match="while another one is"):
        record(lambda: record(lambda: on_gpu(1))[1])
    record(lambda: torch.zeros(1, device=GPU))  # PyTorch's own stream is the first device's from now on
    with torch.cuda.device(OTHER), pytest.raises(Broken, match="on cuda:1 while a graph of cuda:0"):
        record(lambda: torch.zeros(1, device=OTHER))
    with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=torch.cuda.Stream(OTHER)):
        torch.zeros(1, device=OTHER)


@pytest.mark.parametrize("mode", ["global", "thread_local"])
def test_another_threads_wait_ends_a_graph_recorded_in_mode_global(mode: str) -> None:
    problems: list[BaseException] = []

    def wait() -> None:
        try:
            torch.cuda.synchronize()
        except BaseException as problem:
            problems.append(problem)

    with torch.cuda.graph(torch.cuda.CUDAGraph(), capture_error_mode=mode):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert len(problems) == (mode == "global")


@pytest.mark.parametrize("layer", [F.conv2d, F.linear])
def test_float32_is_not_multiplied_in_tf32(layer: Callable[[Tensor, Tensor], Tensor]) -> None:
    sides = (1, 1, 2, 2) if layer is F.conv2d else (2, 2)
    x = torch.ones(sides, device=GPU)
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = conv.fp32_precision, matmul.fp32_precision
    try:
        conv.fp32_precision = matmul.fp32_precision = "tf32"
        with pytest.raises(Broken, match="in TF32"):
            layer(x, x)
        layer(x.half(), x.half())
        conv.fp32_precision = matmul.fp32_precision = "ieee"
        layer(x, x)
    finally:
        conv.fp32_precision, matmul.fp32_precision = before


def test_cudnn_searches_once_for_each_shape_and_only_when_switched_on(gpu: PretendGpu) -> None:
    weight = torch.ones(1, 1, 1, 1, device=GPU).half()
    for benchmark, expected in ((False, 0), (True, 2)):
        with torch.backends.cudnn.flags(enabled=True, benchmark=benchmark):
            for side in (2, 3, 2):
                F.conv2d(torch.ones(1, 1, side, 4, device=GPU).half(), weight)
        assert len(gpu.tunings) == expected


def test_cudnns_fused_convolutions_are_convolution_sum_and_relu() -> None:
    torch.manual_seed(0)
    x, weight, bias, z = (torch.randn(s).half() for s in ((1, 2, 5, 6), (3, 2, 3, 3), 3, (1, 3, 5, 6)))
    geometry = ([1, 1], [1, 1], [1, 1], 1)
    plain = F.conv2d(x, weight, bias, padding=1)
    ours = [t.to(GPU) for t in (x, weight, bias, z)]
    fused = torch.cudnn_convolution_relu(*ours[:3], *geometry)
    torch.testing.assert_close(fused.cpu(), plain.relu())
    fused = torch.cudnn_convolution_add_relu(ours[0], ours[1], ours[3], 2.0, ours[2], *geometry)
    torch.testing.assert_close(fused.cpu(), (plain + 2 * z).relu())


def test_memory_is_counted_and_runs_out(gpu: PretendGpu) -> None:
    held = [torch.zeros(100, device=GPU)[:50]]  # a view keeps the whole
    assert gpu.memory.used == 400
    gpu.memory.limit = 1000
    with pytest.raises(torch.cuda.OutOfMemoryError, match="Tried to allocate 800"):
        torch.zeros(200, device=GPU)
    graph, answer = record(lambda: held[0] * 1)
    held.clear()
    del answer
    gc.collect()
    assert gpu.memory.used == 200
    del graph
    gc.collect()
    assert gpu.memory.used == 0 and gpu.memory.most_used == 600


def test_kernels_and_bytes_are_counted(gpu: PretendGpu) -> None:
    x = torch.zeros(2, 3, device=GPU)
    gpu.log.clear()
    record(lambda: x.t() + 1)
    work = [entry for entry in gpu.log if entry.kernels]
    assert [(entry.name, entry.is_recorded) for entry in work] == [("aten::add.Tensor", True)]
    assert (work[0].bytes_read, work[0].bytes_written, work[0].shapes) == (24, 24, ((3, 2),))
    x.cpu()
    assert (gpu.log[-1].name, gpu.log[-1].bytes_read, gpu.log[-1].kernels) == ("download", 24, 0)


def test_a_tensor_cannot_be_used_when_the_device_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    x = on_gpu(1)
    monkeypatch.setattr(PretendTensor, "run_operator", None)
    with _disable_current_modes(), pytest.raises(Broken, match="device that is gone"):
        x + 1
