"""What could not be read: logged as it happens, counted, and named at the end."""

from collections.abc import Callable

from seg_node.untrusted.one_line import one_line

OnError = Callable[[str, Exception], None]

MOST_TOLD = 100
MOST_NAMED = 20


class LeftOut:
    """An OnError that passes a line on for each of the first MOST_TOLD."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._names: list[str] = []
        self.count = 0

    def __call__(self, name: str, error: Exception) -> None:
        self.count += 1
        if self.count <= MOST_NAMED:
            self._names.append(one_line(name, 100))
        if self.count <= MOST_TOLD:
            self._write(f"left out {one_line(name, 100)}: {one_line(str(error))}")
        if self.count == MOST_TOLD:
            self._write("what else is left out is only counted")

    @property
    def names(self) -> str:
        """ "a.png, b.png"; of many the first."""
        return ", ".join(self._names) + (" …" if self.count > MOST_NAMED else "")
