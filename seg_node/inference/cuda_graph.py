# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A network's kernels recorded once and replayed as a whole: the CPU launches one graph instead of hundreds.

A graph holds the shapes it was recorded with, so there is one for each image size and number of images.
Thresholds are read from the device's memory, so that a new threshold needs no new graph.
"""

import contextlib
import dataclasses
import gc
import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.backends import cudnn
from torch.utils._pytree import tree_leaves, tree_map

from seg_node.models.grouped import GroupedModel
from seg_node.models.model import DenseModel, SegmentationModel

logger = logging.getLogger(__name__)

MOST_GRAPHS = 32  # a few image sizes, each with 1, 2, 4 and 8 images, with and without panoptic maps
_SHARE = 4  # graphs' inputs and outputs may take 1 / 4 of the device's memory
_WARM_UPS = 3  # while cuDNN chooses its kernels and the allocator finds its sizes
_TRIES = 2  # to record one graph
_MOST_FAILURES = 6  # in a row, over all graphs; recording is then given up
_recording = threading.Lock()  # PyTorch records one graph at a time in a process


Model = SegmentationModel[Any, Any]


def use_cuda_graphs(model: Model) -> Model:
    """Return the model with the part recorded whose shapes are known beforehand.

    For models on a GPU. Models without such a part, or with an exported dense part, stay as they are.
    """
    if not isinstance(model, DenseModel) or model.dense is not None:
        return model
    return model.with_recorded(CudaGraphs)


def drop_cuda_graphs(model: Model) -> int:
    """Free the model's graphs, which are recorded again when needed; return their number."""
    if isinstance(model, GroupedModel):
        return drop_cuda_graphs(model.model)
    found = [value for value in vars(model).values() if isinstance(value, CudaGraphs)]
    return sum(graphs.drop() for graphs in found)


@dataclass
class _Recorded:
    """One graph and its buffers.

    pixels, numbers: its inputs; numbers: float32 (K,), which hold `values`. answer: its outputs.
    """

    graph: torch.cuda.CUDAGraph
    pixels: Tensor
    numbers: Tensor
    values: tuple[float, ...]
    answer: Any
    nbytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.nbytes = sum(x.nbytes for x in tree_leaves((self.pixels, self.answer)) if isinstance(x, Tensor))

    def replay(self, pixels: Tensor, values: tuple[float, ...]) -> Any:
        count = len(pixels)
        self.pixels[:count].copy_(pixels)
        for number, old, new in zip(self.numbers, self.values, values, strict=True):
            if new != old:
                number.fill_(new)  # the value travels with the kernel: no copy, no wait
        self.values = values
        self.graph.replay()
        return tree_map(lambda x: x[:count], self.answer)


class CudaGraphs:
    """A function of (pixels, *others), replayed from CUDA graphs.

    Its kernels may depend only on shapes and on `others`. It returns tensors whose first dimension is that of
    pixels. The next call overwrites what a call returned.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._graphs: OrderedDict[Hashable, _Recorded] = OrderedDict()
        self._failures: Counter[Hashable] = Counter()
        self._failures_in_a_row = 0
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None

    def __call__(self, pixels: Tensor, *others: Hashable) -> Any:
        """Replay the graph for these shapes and `others`, which the first call records.

        pixels: (N, …). others: hashable; a tuple has an entry for each of the N images. Floats in a dataclass
        among them reach the function as zero-dimensional tensors on the device.
        Where recording fails, the function runs without a graph.
        """
        others = tuple(_pad(other, _rounded(len(pixels)) - len(pixels)) for other in others)
        constants, values = _split(others)
        key = _rounded(len(pixels)), pixels.shape[1:], pixels.stride(), pixels.dtype, constants
        recorded = self._graphs.get(key)
        if recorded is None:
            recorded = self._try_to_record(key, pixels, others, values)
        if recorded is None:
            return self._run_plainly(pixels, others)
        self._graphs.move_to_end(key)
        return recorded.replay(pixels, values)

    def drop(self) -> int:
        """Free the graphs' memory; return how many there were."""
        count = len(self._graphs)
        self._graphs.clear()
        return count

    def _run_plainly(self, pixels: Tensor, others: tuple[Hashable, ...]) -> Any:
        count = len(pixels)
        return self._function(pixels, *(x[:count] if isinstance(x, tuple) else x for x in others))

    def _try_to_record(
        self, key: Hashable, pixels: Tensor, others: tuple[Hashable, ...], values: tuple[float, ...]
    ) -> _Recorded | None:
        if self._failures[key] >= _TRIES or self._failures_in_a_row >= _MOST_FAILURES:
            return None
        try:
            recorded = self._record(pixels, others, values)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # of CUDA, cuDNN or an operator; without a graph the result is the same
            if isinstance(error.__context__, torch.cuda.OutOfMemoryError):
                raise error.__context__ from None  # hidden by the error of ending the recording
            self._failures[key] += 1
            self._failures_in_a_row += 1
            logger.warning("without CUDA graphs, which is slower: recording one failed: %s", error)
            return None
        self._failures_in_a_row = 0
        self._graphs[key] = recorded
        self._forget_oldest(recorded)
        return recorded

    def _forget_oldest(self, newest: _Recorded) -> None:
        """Drop the least recently used graphs beyond the limits of number and memory, never the newest."""
        limit = torch.cuda.get_device_properties(newest.pixels.device).total_memory // _SHARE
        while len(self._graphs) > 1 and (
            len(self._graphs) > MOST_GRAPHS or sum(graph.nbytes for graph in self._graphs.values()) > limit
        ):
            self._graphs.popitem(last=False)

    def _record(self, pixels: Tensor, others: tuple[Hashable, ...], values: tuple[float, ...]) -> _Recorded:
        """Record one graph. Source: PyTorch's notes/cuda.rst, "Whole-network capture"."""
        if not self._graphs:  # a pool cannot be used again after its last graph
            self._pool = torch.cuda.graph_pool_handle()
        if self._stream is None:
            self._stream = torch.cuda.Stream(pixels.device)
        shape = (_rounded(len(pixels)), *pixels.shape[1:])
        own = torch.empty_strided(shape, pixels.stride(), dtype=pixels.dtype, device=pixels.device).zero_()
        own[: len(pixels)].copy_(pixels)
        numbers = torch.empty(len(values), device=pixels.device)
        for number, value in zip(numbers, values, strict=True):
            number.fill_(value)
        arguments = _with_numbers(others, iter(numbers.unbind()))
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(pixels.device)
        with _recording, _cudnn_searches():
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UPS):
                    self._function(own, *arguments)
            current.wait_stream(self._stream)
            # thread_local: other threads may use CUDA meanwhile
            with (
                _no_garbage_collection(),
                torch.cuda.graph(
                    graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
                ),
            ):
                answer = self._function(own, *arguments)
        return _Recorded(graph, own, numbers, values, answer)


def _rounded(count: int) -> int:
    """Round up to a batch size that graphs are recorded for: 1, 2, 4, 8, 16, 24, …"""
    return 1 << (count - 1).bit_length() if count <= 8 else -(-count // 8) * 8


def _pad(other: Hashable, missing: int) -> Hashable:
    """Repeat the last entry of a tuple for each missing image."""
    return other + other[-1:] * missing if isinstance(other, tuple) else other


def _split(others: tuple[Hashable, ...]) -> tuple[tuple[Hashable, ...], tuple[float, ...]]:
    """Return the part that a graph is recorded for, and the numbers that it reads at each replay."""
    values = [value for other in others for value in _numbers_of(other).values()]
    return _with_numbers(others, iter([0.0] * len(values))), tuple(values)


def _with_numbers(others: tuple[Hashable, ...], numbers: Iterator[Any]) -> tuple[Hashable, ...]:
    """Replace the numbers, in order."""
    return tuple(
        dataclasses.replace(other, **{name: next(numbers) for name in names})  # type: ignore[type-var]
        if (names := _numbers_of(other))
        else other
        for other in others
    )


def _numbers_of(other: Hashable) -> dict[str, float]:
    if not dataclasses.is_dataclass(other):
        return {}
    values = {entry.name: getattr(other, entry.name) for entry in dataclasses.fields(other)}
    return {name: value for name, value in values.items() if isinstance(value, float)}


@contextlib.contextmanager
def _cudnn_searches() -> Iterator[None]:
    """Let cuDNN time its algorithms. It does so for every new shape, so only where shapes stay the same."""
    before = cudnn.benchmark
    cudnn.benchmark = True
    try:
        yield
    finally:
        cudnn.benchmark = before


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Switch garbage collection off: freeing another graph or event would break the recording."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
