# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A process for every row of a table, asked in turn.

So each has its own memory, and nothing that one system sets in PyTorch reaches another; while one works the
others wait, and all see the machine in the same minutes.
"""

import multiprocessing
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from common.cells import Cell
from common.systems import build_system, peak_memory_mb


class Worker:
    """A system in a process of its own."""

    def __init__(self, cell: Cell) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, cell), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.join(20)
        self._process.terminate()

    def ask(self, name: str, *arguments: Any) -> Any:
        """What the system's method or attribute of that name gives. Raises what it raises."""
        self._connection.send((name, arguments))
        answer = self._connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(connection: Connection, cell: Cell) -> None:
    system: Any = None
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            system = system or build_system(cell)
            if name == "peak_memory_mb":
                answer = peak_memory_mb(cell.device)
            else:
                attribute = getattr(system, name)
                answer = attribute(*arguments) if callable(attribute) else attribute
        except Exception as error:
            answer = error
        connection.send(answer)
