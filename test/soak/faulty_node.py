"""The node, with a switch that makes its model fail: python -m soak.faulty_node FOLDER --ros-args …

FOLDER/fault holds the name of the fault in force, see `_FAULTS`; without the file the model works.
The process writes what it did and must not do to FOLDER/forbidden, a line each, and its memory in use to
FOLDER/memory, as JSON, each second.
"""

import ctypes
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.limits import is_forbidden

from seg_node.engine import Engine, OutOfMemory
from seg_node.ros import node
from seg_node.types import Frame, Segmentation, SegmentOptions

Segment = Callable[[], list[Segmentation]]
MEMORY_PERIOD_S = 1.0


def _raise(segment: Segment) -> list[Segmentation]:
    raise RuntimeError("the model was told to fail")


def _exit(segment: Segment) -> list[Segmentation]:
    raise SystemExit(3)


def _out_of_memory(segment: Segment) -> list[Segmentation]:
    raise OutOfMemory("the model was told to have too little memory")


def _memory_error(segment: Segment) -> list[Segmentation]:
    raise MemoryError


def _nan(segment: Segment) -> list[Segmentation]:
    return [_with_nan(found) for found in segment()]


def _with_nan(found: Segmentation) -> Segmentation:
    instances = found.instances
    boxes, scores = (np.full_like(values, np.nan) for values in (instances.boxes_xyxy, instances.scores))
    return replace(found, instances=replace(instances, boxes_xyxy=boxes, scores=scores))


_FAULTS: dict[str, Callable[[Segment], list[Segmentation]]] = {
    "raise": _raise,
    "exit": _exit,
    "out_of_memory": _out_of_memory,
    "memory_error": _memory_error,
    "nan": _nan,
}
HANG = "hang"  # for as long as the file says so


def _install_switch(file: Path) -> None:
    """Replaces the engine's one way through the model, in this process only."""
    whole = Engine.segment_batch

    def segment_batch(engine: Engine, frames: Sequence[Frame], options: SegmentOptions) -> list[Segmentation]:
        while _read(file) == HANG:
            time.sleep(0.05)
        fault = _FAULTS.get(_read(file))
        if fault is None:
            return whole(engine, frames, options)
        return fault(lambda: whole(engine, frames, options))

    Engine.segment_batch = segment_batch  # type: ignore[method-assign]


def _read(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""


def _record_forbidden(folder: Path) -> None:
    """Programs, connections and changes outside the folder, from now on."""
    record = os.open(folder / "forbidden", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        if is_forbidden(event, arguments, str(folder)):
            os.write(record, f"{event} {str(arguments[0])[:200]}\n".encode("utf-8", "replace"))

    sys.addaudithook(on_event)


class _MemoryInfo(ctypes.Structure):
    """struct mallinfo2 of glibc 2.33 and later; `blocks` is its hblkhd, `used` its uordblks."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "f1", "f2", "f3", "blocks", "f5", "f6", "used", "free", "keepcost")
    )


def _report_memory(file: Path) -> None:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _MemoryInfo
    while True:
        info = mallinfo2()
        figures = {"malloc": info.used + info.blocks, "blocks": sys.getallocatedblocks()}
        file.write_text(json.dumps(figures))
        time.sleep(MEMORY_PERIOD_S)


def main() -> int:
    folder = Path(sys.argv[1]).resolve()
    _install_switch(folder / "fault")
    _record_forbidden(folder)
    threading.Thread(target=_report_memory, args=(folder / "memory",), daemon=True).start()
    return node.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
