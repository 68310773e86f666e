# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The node of faulty_node.py, which takes its CPU for a GPU: gpu_like_node.py FAULT_FILE --ros-args …

It prints "segmented" after each of the model's calls, and "warm-up HEIGHT WIDTH THRESHOLD" before a warm-up.
"""

import contextlib
import runpy
from pathlib import Path
from typing import Any


def on_gpu(open_model: Any) -> Any:
    def opened(*arguments: Any) -> Any:
        engine = open_model(*arguments)
        name = engine.device_name
        engine.__class__ = type("GpuLikeEngine", (type(engine),), {"on_gpu": True, "device_name": name})
        return engine

    return opened


def told_segment(segment_batch: Any) -> Any:
    def segment(*arguments: Any) -> Any:
        found = segment_batch(*arguments)
        print("segmented", flush=True)
        return found

    return segment


def told_warm_up(warm_up: Any) -> Any:
    def warm(engine: Any, size: tuple[int, int], *others: Any, **named: Any) -> None:
        print("warm-up", *size, *[options.score_threshold for options in others[:1]], flush=True)
        warm_up(engine, size, *others, **named)

    return warm


def main() -> None:
    """Ends the process, as seg_node's own main does."""
    import torch

    import seg_node.inference.engine
    import seg_node.ros.node.node

    torch.cuda.device = lambda _: contextlib.nullcontext()  # type: ignore[assignment,misc]
    engine = seg_node.inference.engine.Engine
    engine.segment_batch = told_segment(engine.segment_batch)  # type: ignore[method-assign]
    engine.warm_up = told_warm_up(engine.warm_up)  # type: ignore[method-assign]
    seg_node.ros.node.node.open_model = on_gpu(seg_node.ros.node.node.open_model)
    runpy.run_path(str(Path(__file__).with_name("faulty_node.py")), run_name="__main__")


main()
