# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What a program does with CUDA graphs, waits and its log, seen from outside."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from gpu_check.setting import Setting


@dataclass
class Recordings:
    """recorded: graphs that were captured. failed: captures that raised. replayed: launches of graphs."""

    recorded: int = 0
    failed: int = 0
    replayed: int = 0


@contextmanager
def counted_graphs() -> Iterator[Recordings]:
    """Counts at torch.cuda's own functions, which the product calls."""
    counts = Recordings()
    capture, plain_graph = torch.cuda.graph, torch.cuda.CUDAGraph

    @contextmanager
    def counted_capture(*arguments: Any, **options: Any) -> Iterator[Any]:
        try:
            with capture(*arguments, **options) as answer:
                yield answer
        except BaseException:
            counts.failed += 1
            raise
        counts.recorded += 1

    class CountedGraph(plain_graph):  # type: ignore[misc, valid-type]
        def replay(self) -> None:
            counts.replayed += 1
            super().replay()

    with (
        mock.patch.object(torch.cuda, "graph", counted_capture),
        mock.patch.object(torch.cuda, "CUDAGraph", CountedGraph),
    ):
        yield counts


@contextmanager
def noted_waits() -> Iterator[list[str]]:
    """FILE:LINE of each call that made the host wait for the GPU, as far as PyTorch notices them."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found += [f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)]


class _Listener(logging.Handler):
    def __init__(self, pretend: bool) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self._pretend = pretend

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not (self._pretend and "Triton" in text):  # which needs a driver
            self.texts.append(text[:200])


@contextmanager
def heard_warnings(setting: Setting) -> Iterator[list[str]]:
    """seg_node's warnings: each time it takes a slower way than the one meant for a GPU, it logs one."""
    listener = _Listener(setting.pretend)
    logging.getLogger("seg_node").addHandler(listener)
    try:
        yield listener.texts
    finally:
        logging.getLogger("seg_node").removeHandler(listener)
