"""Files of results: nothing is written outside the folder, and a file is there when it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from zlib import crc32

LONGEST_NAME = 255  # bytes, of the usual file systems


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Write `name`, which may lie in folders below, under a temporary name first; an old file is replaced.

    Raises RuntimeError that names the file when it cannot be written, or when a folder on the way is a
    symbolic link.
    """
    with new_file(folder, name) as part:
        part.write_bytes(data)


@contextmanager
def new_file(folder: Path, name: str) -> Iterator[Path]:
    """The temporary name of a file, to be written inside; see `write_file`."""
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
    """The name, its last part cut and numbered where file systems would refuse it; the ending stays."""
    path = PurePath(name)
    encoded = os.fsencode(path.name)
    if len(encoded) <= LONGEST_NAME:
        return name
    ending = f"~{crc32(encoded):08x}{_ending(path)}"
    return str(path.with_name(os.fsdecode(encoded[: LONGEST_NAME - len(ending)]) + ending))


def _ending(path: PurePath) -> str:
    """The suffix, if it is one of a file type."""
    return path.suffix if path.suffix.isascii() and len(path.suffix) < 10 else ""


def make_folders(folder: Path, below: PurePath) -> None:
    """Make the folders on the way from `folder` to `folder / below`.

    Raises RuntimeError when one of them is a symbolic link, OSError when it cannot be made.
    """
    for part in below.parts:
        folder /= part
        if folder.is_symlink() or part == "..":
            raise RuntimeError(
                f"{folder}: leads out of the folder of results; remove that link, or give another --out"
            )
        folder.mkdir(exist_ok=True)
