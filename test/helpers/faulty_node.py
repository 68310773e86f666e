# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The real node with a model that misbehaves on command: the word in the file argv[1] names the fault.

load_hang: loading never ends. hang: the model does not return until the word changes. raise, exit, memory: it
raises. lost: as raise, but as CUDA does once a device is lost. nan: its scores are not numbers. debug_hang,
debug_exit: the drawing of the debug image does so. publish_hang, publish_raise: a frame's publishing does.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(sys.argv[1])


def fault() -> str:
    return FILE.read_text().strip()


def hang_while(word: str) -> None:
    while fault() == word:
        time.sleep(0.02)


def misbehave(segment_batch: Any) -> Any:
    import torch

    def segment(*arguments: Any) -> Any:
        word = fault()
        hang_while("hang")
        if word == "raise":
            raise KeyError("no such layer")
        if word == "exit":
            sys.exit(3)
        if word == "memory":
            raise torch.cuda.OutOfMemoryError("made up")
        if word == "lost":
            raise torch.AcceleratorError("CUDA error: device-side assert triggered\nFor debugging consider …")
        found = segment_batch(*arguments)
        if word == "nan":
            scores = np.full_like(found[0].instances.scores, np.nan)
            return [replace(found[0], instances=replace(found[0].instances, scores=scores))]
        return found

    return segment


def misdraw(draw: Any) -> Any:
    def draw_faulty(*arguments: Any, **options: Any) -> Any:
        hang_while("debug_hang")
        if fault() == "debug_exit":
            sys.exit(3)
        return draw(*arguments, **options)

    return draw_faulty


def mispublish(publish: Any) -> Any:
    def publish_faulty(*arguments: Any) -> Any:
        hang_while("publish_hang")
        if fault() == "publish_raise":
            raise KeyError("no such field")
        return publish(*arguments)

    return publish_faulty


def misload(load: Any) -> Any:
    def load_faulty(*arguments: Any) -> Any:
        hang_while("load_hang")
        return load(*arguments)

    return load_faulty


def main() -> None:
    import seg_node.export.open_model
    import seg_node.inference.engine
    import seg_node.ros.node.debug_image
    import seg_node.ros.node.outputs

    engine = seg_node.inference.engine.Engine
    engine._segment = misbehave(engine._segment)  # type: ignore[method-assign]
    outputs = seg_node.ros.node.outputs.Outputs
    outputs.publish = mispublish(outputs.publish)  # type: ignore[method-assign]
    seg_node.ros.node.debug_image.draw_segmentation = misdraw(seg_node.ros.node.debug_image.draw_segmentation)
    seg_node.export.open_model.load_model = misload(seg_node.export.open_model.load_model)
    from seg_node.ros.node.__main__ import main

    main(sys.argv[2:])


main()
