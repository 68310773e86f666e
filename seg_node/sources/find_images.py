# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Find the image files that a user names: files, folders and globs."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
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
    removed. A missing file stays in the list, where reading it fails, unless all are missing. Subfolders
    and hidden images (such as macOS's `._a.jpg`) of a folder are passed over. The description is such as
    "3 files: .txt (2), .json (1); 1 folder; 2 hidden images", or empty.

    Raises FileNotFoundError if there is no image.
    """
    paths: list[Path] = []
    others: list[Path] = []
    for argument in arguments:
        found, beside = _split(argument)
        if not found:
            there = f" ({describe_passed_over(beside)})" if beside else ""
            readable = " ".join(sorted(IMAGE_SUFFIXES))
            raise FileNotFoundError(f"{argument}: no image there{there}; supported suffixes: {readable}")
        paths += found
        others += beside
    if not any(path.is_file() for path in paths):
        raise FileNotFoundError(f"{paths[0]}: no such image, video, bag or folder")
    unique = {_real(path): path for path in reversed(paths)}
    kept = [path for path in paths if unique.pop(_real(path), None) is not None]
    return kept, describe_passed_over(others)


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


def describe_passed_over(paths: Sequence[Path]) -> str:
    """Count files by suffix, folders and hidden images: ".txt (2)", "1 folder"; empty for none."""
    folders = [path for path in paths if path.is_dir()]
    hidden = [path for path in paths if is_picture(path) and not path.is_dir()]
    files = [path for path in paths if not is_picture(path) and not path.is_dir()]
    counts = Counter(path.suffix.lower() or "no ending" for path in files).most_common()
    suffixes = listed([f"{suffix} ({count})" for suffix, count in counts], MAX_LISTED_SUFFIXES)
    parts = [f"{_count(files, 'file')}: {suffixes}"] if files else []
    parts += [_count(some, noun) for some, noun in ((folders, "folder"), (hidden, "hidden image")) if some]
    return "; ".join(parts)


def _count(paths: Sequence[Path], noun: str) -> str:
    return f"{len(paths)} {noun}" if len(paths) == 1 else f"{len(paths)} {noun}s"


def _split(argument: str | Path) -> tuple[list[Path], list[Path]]:
    """The images that the argument names, and the rest of its folder or glob that is worth a report."""
    path = Path(argument)
    if path.is_dir():
        entries = sorted(path.iterdir())
        # A hidden file that is no image (.DS_Store, .gitignore) and a hidden folder (.git) are no loss.
        entries = [e for e in entries if not _is_hidden(e) or (is_picture(e) and not e.is_dir())]
        found = [e for e in entries if is_picture(e) and not _is_hidden(e) and not e.is_dir()]
    elif glob.has_magic(str(argument)) and not path.exists():
        # A glob matches hidden files only where it names the dot, and folders beside their files (`**`).
        matches = map(Path, glob.glob(str(argument), recursive=True))
        entries = sorted(match for match in matches if not match.is_dir())
        found = [entry for entry in entries if is_picture(entry)]
    else:
        return [path], []
    chosen = set(found)
    return found, [entry for entry in entries if entry not in chosen]


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _real(path: Path) -> Path:
    """The absolute path with its folder's links resolved, so that `a/../b.png` equals `b.png`."""
    return Path(os.path.realpath(path.parent)) / path.name
