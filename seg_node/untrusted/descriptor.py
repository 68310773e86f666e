"""Files with names that are not UTF-8, for libraries in C and Rust that cannot open or crash on them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def plain_name(path: str | Path) -> Iterator[str]:
    """A name of the file, while it is open here, that has no letters of its own: its descriptor's.

    Its own name where the system has no such names. Raises OSError.
    """
    with open(path, "rb") as file:
        name = f"/dev/fd/{file.fileno()}"
        yield name if os.path.exists(name) else str(path)
