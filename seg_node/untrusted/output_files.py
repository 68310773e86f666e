# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Write result files atomically, and never outside their folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from zlib import crc32

MAX_NAME_BYTES = 255  # in the usual file systems


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Write `name`, which may contain folders, to a temporary file that then replaces an existing one.

    Raises RuntimeError, with the file's name, if it cannot be written or a folder in `name` is a symbolic
    link.
    """
    with new_file(folder, name) as part:
        part.write_bytes(data)


@contextmanager
def new_file(folder: Path, name: str) -> Iterator[Path]:
    """Yield a temporary path that becomes the file at the end of the context; see `write_file`."""
    target = folder / name
    try:
        make_folders(folder, PurePath(name).parent)
        part = target.with_name(f".{os.getpid()}.part{_ending(target)}")
        part.unlink(missing_ok=True)
        try:
            yield part
            os.replace(part, target)  # a symbolic link is replaced, not followed
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise RuntimeError(f"{target}: cannot be written ({error.strerror or error})") from error


def shortened(name: str) -> str:
    """Shorten a name that is too long for file systems: cut its end, add a checksum, keep the suffix."""
    path = PurePath(name)
    encoded = os.fsencode(path.name)
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    ending = f"~{crc32(encoded):08x}{_ending(path)}"
    return str(path.with_name(os.fsdecode(encoded[: MAX_NAME_BYTES - len(ending)]) + ending))


def _ending(path: PurePath) -> str:
    """The suffix if it looks like a file type's, otherwise nothing."""
    return path.suffix if path.suffix.isascii() and len(path.suffix) < 10 else ""


def make_folders(folder: Path, below: PurePath) -> None:
    """Create the folders between `folder` and `folder / below`.

    Raises RuntimeError if one of them is a symbolic link, OSError if it cannot be created.
    """
    for part in below.parts:
        folder /= part
        if folder.is_symlink() or part == "..":
            raise RuntimeError(
                f"{folder}: leads out of the folder of results; remove that link, or give another --out"
            )
        folder.mkdir(exist_ok=True)
