"""Find the image files that a user names: files, folders and globs."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from seg_node.sources.image_formats import PICTURE_FORMATS
from seg_node.untrusted.printable import listed

IMAGE_SUFFIXES = frozenset(
    suffix
    for suffix, name in Image.registered_extensions().items()
    if name in (*PICTURE_FORMATS, "MPO")  # an MPO is read as JPEG
)
# Unsupported image formats. In a folder, each such file is reported as unreadable, not passed over.
UNREADABLE_SUFFIXES = {
    ".heic",
    ".heif",
    ".hif",
    ".avif",
    ".jxl",
    ".jxr",
    ".psd",
    ".exr",
    ".hdr",
    ".svg",
    ".eps",
    ".ico",
} | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"} - IMAGE_SUFFIXES
MAX_LISTED_SUFFIXES = 8


def find_images(arguments: Sequence[str | Path]) -> tuple[list[Path], str]:
    """Find the image files, and describe what was passed over.

    Files keep the order of the arguments; those of a folder or glob are sorted by name. Duplicates are
    removed. A missing file stays in the list, where reading it fails, unless all are missing. The
    description is such as "3 files: .txt (2), .json (1)", or empty.

    Raises FileNotFoundError if there is no image.
    """
    paths: list[Path] = []
    others: list[Path] = []
    for argument in arguments:
        candidates = _candidates(argument)
        found = [Path(argument)] if candidates is None else [path for path in candidates if is_picture(path)]
        beside = [path for path in candidates or () if not is_picture(path)]
        if not found:
            there = f" ({describe_suffixes(beside)})" if beside else ""
            readable = " ".join(sorted(IMAGE_SUFFIXES))
            raise FileNotFoundError(f"{argument}: no image there{there}; supported suffixes: {readable}")
        paths += found
        others += beside
    if not any(path.is_file() for path in paths):
        raise FileNotFoundError(f"{paths[0]}: no such image, video, bag or folder")
    unique = {_real(path): path for path in reversed(paths)}
    kept = [path for path in paths if unique.pop(_real(path), None) is not None]
    return kept, describe_suffixes(others)


def image_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Names for the files: file names or, if two are equal, paths below the common folder, without `..`."""
    names = tuple(path.name for path in paths)
    if len(set(names)) == len(names):
        return names
    real = [_real(path) for path in paths]
    shared = os.path.commonpath([path.parent for path in real])
    return tuple(path.relative_to(shared).as_posix() for path in real)


def is_picture(path: Path) -> bool:
    """Whether the suffix is an image format's, readable or not."""
    return path.suffix.lower() in IMAGE_SUFFIXES | UNREADABLE_SUFFIXES


def describe_suffixes(paths: Sequence[Path]) -> str:
    """Count the files by suffix: "3 files: .txt (2), .json (1)"; empty for none."""
    if not paths:
        return ""
    counts = Counter(path.suffix.lower() or "no ending" for path in paths).most_common()
    shown = [f"{suffix} ({count})" for suffix, count in counts]
    return f"{len(paths)} files: {listed(shown, MAX_LISTED_SUFFIXES)}"


def _candidates(argument: str | Path) -> list[Path] | None:
    """The files of a folder or glob, sorted, without folders and hidden files; None for a single file."""
    path = Path(argument)
    if path.is_dir():
        found: Iterable[Path] = path.iterdir()
    elif glob.has_magic(str(argument)) and not path.exists():
        found = map(Path, glob.glob(str(argument), recursive=True))
    else:
        return None
    files = (file for file in found if not file.is_dir())
    return sorted(file for file in files if is_picture(file) or not file.name.startswith("."))


def _real(path: Path) -> Path:
    """The absolute path with its folder's links resolved, so that `a/../b.png` equals `b.png`."""
    return Path(os.path.realpath(path.parent)) / path.name
