# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Names that are not UTF-8: C and Rust libraries fail or crash on them, so files go by descriptor."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def plain_name(path: str | Path) -> Iterator[str]:
    """Open the file and yield the name of its descriptor, /dev/fd/N, or its own name without /dev/fd.

    Raises OSError.
    """
    with open(path, "rb") as file:
        name = f"/dev/fd/{file.fileno()}"
        yield name if os.path.exists(name) else str(path)
