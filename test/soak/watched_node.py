# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The node of faulty_node.py, watched from inside: python -m soak.watched_node FOLDER --ros-args …

FOLDER/fault names the fault of the model in force, empty for none. The process writes what it did and must
not do to FOLDER/forbidden, a line each, and its memory in use to FOLDER/memory, as JSON, each second.
"""

import ctypes
import json
import os
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any

from fuzz.limits import is_forbidden

FAULTY_NODE = Path(__file__).parents[1] / "helpers/faulty_node.py"
MEMORY_PERIOD_S = 1.0


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


def main() -> None:
    """Ends the process, as seg_node's own main does."""
    folder = Path(sys.argv[1]).resolve()
    switch = folder / "fault"
    switch.touch()
    _record_forbidden(folder)
    threading.Thread(target=_report_memory, args=(folder / "memory",), daemon=True).start()
    sys.argv[1] = str(switch)
    runpy.run_path(str(FAULTY_NODE), run_name="__main__")


if __name__ == "__main__":
    main()
