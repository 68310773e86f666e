"""A network's kernels recorded once and replayed as a whole: the CPU launches one graph instead of hundreds.

A graph holds the shapes it was recorded with, so there is one for each input shape, and one for each set of
other arguments, which its kernels have within.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

MOST_GRAPHS = 4  # each keeps the memory of its run: a resolution, and what was last asked of it
_WARM_UPS = 3  # in which cuDNN chooses its kernels and the allocator finds its sizes


def use_cuda_graphs(network: nn.Module) -> None:
    """Replaces what the network does with shapes known beforehand: `fixed` where it has that, else `dense`.

    For networks on a GPU. Others are left as they are, also those with an exported `dense`.
    """
    if "dense" in vars(network):
        return
    for name in ("fixed", "dense"):
        function = getattr(network, name, None)
        if function is not None:
            setattr(network, name, CudaGraphs(function))
            if name == "fixed":
                network.fixed_shapes = True  # type: ignore[assignment]  # nn.Module's attributes are tensors to mypy
            return


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    pixels: Tensor  # read by the graph
    answer: Any  # tensors, written by it


class CudaGraphs:
    """Stands for a function of (pixels, *others) whose kernels depend only on pixels' shape and on `others`.

    What it returns is overwritten by the next call.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._graphs: OrderedDict[Hashable, _Recorded] = OrderedDict()
        self._failed = False

    def __call__(self, pixels: Tensor, *others: Hashable) -> Any:
        """others: hashable, each set of them gets a graph. Without graphs when recording one has failed."""
        if self._failed:
            return self._function(pixels, *others)
        key = pixels.shape, pixels.stride(), *others
        recorded = self._graphs.get(key)
        if recorded is None:
            while len(self._graphs) >= MOST_GRAPHS:
                self._graphs.popitem(last=False)
            try:
                recorded = self._graphs[key] = self._record(pixels, others)
            except torch.cuda.OutOfMemoryError:
                raise
            except Exception as error:  # of CUDA, cuDNN or an operator; the plain way answers the same
                self._failed = True
                self._graphs.clear()
                logger.warning("without CUDA graphs, which is slower: recording one failed: %s", error)
                return self._function(pixels, *others)
        self._graphs.move_to_end(key)
        recorded.pixels.copy_(pixels)
        recorded.graph.replay()
        return recorded.answer

    def _record(self, pixels: Tensor, others: tuple[Hashable, ...]) -> _Recorded:
        """Source: PyTorch's notes/cuda.rst, "Whole-network capture"."""
        own = pixels.clone()
        aside = torch.cuda.Stream(pixels.device)
        aside.wait_stream(torch.cuda.current_stream(pixels.device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                self._function(own, *others)
        torch.cuda.current_stream(pixels.device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = self._function(own, *others)
        return _Recorded(graph, own, answer)
