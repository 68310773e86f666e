# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Log and count the frames that could not be read, and name them at the end."""

from collections.abc import Callable

from seg_node.untrusted.printable import one_line

OnError = Callable[[str, Exception], None]

MAX_LOGGED = 100
MAX_NAMED = 20


class LeftOut:
    """An OnError that writes a line for each of the first MAX_LOGGED errors."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._names: list[str] = []
        self.count = 0

    def __call__(self, name: str, error: Exception) -> None:
        self.count += 1
        if self.count <= MAX_NAMED:
            self._names.append(one_line(name, 100))
        if self.count <= MAX_LOGGED:
            self._write(f"left out {one_line(name, 100)}: {one_line(str(error))}")
        if self.count == MAX_LOGGED:
            self._write("others that are left out are only counted")

    @property
    def names(self) -> str:
        """The first MAX_NAMED names: "a.png, b.png …"."""
        return ", ".join(self._names) + (" …" if self.count > MAX_NAMED else "")
