"""Which image files a user named: files, folders, globs; their names; and what was passed over."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from seg_node.sources.image_formats import PICTURE_FORMATS

IMAGE_SUFFIXES = frozenset(
    suffix
    for suffix, name in Image.registered_extensions().items()
    if name in (*PICTURE_FORMATS, "MPO")  # an MPO is read as JPEG
)
# Pictures all the same: of a folder, these are named one by one as what cannot be read.
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
LISTED_SUFFIXES = 8


def find_images(arguments: Sequence[str | Path]) -> tuple[list[Path], str]:
    """Files in the order of the arguments, a folder's or glob's sorted by name; and what was passed over.

    A named file that is missing stays in the list, as one that cannot be read, unless all are missing; one
    named twice is taken once. The text is such as "3 files: .txt (2), .json (1)", or empty.

    Raises FileNotFoundError when there is no image.
    """
    paths: list[Path] = []
    others: list[Path] = []
    for argument in arguments:
        candidates = _candidates(argument)
        found = [Path(argument)] if candidates is None else [path for path in candidates if is_picture(path)]
        beside = [path for path in candidates or () if not is_picture(path)]
        if not found:
            there = f" ({describe_suffixes(beside)})" if beside else ""
            raise FileNotFoundError(f"{argument}: no image there{there}; read are {_listed(IMAGE_SUFFIXES)}")
        paths += found
        others += beside
    if not any(path.is_file() for path in paths):
        raise FileNotFoundError(f"{paths[0]}: no such image, video, bag or folder")
    unique = {_real(path): path for path in reversed(paths)}
    kept = [path for path in paths if unique.pop(_real(path), None) is not None]
    return kept, describe_suffixes(others)


def image_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """File names; where two are the same, paths from the folder that all share. Never with `..` in them."""
    names = tuple(path.name for path in paths)
    if len(set(names)) == len(names):
        return names
    real = [_real(path) for path in paths]
    shared = os.path.commonpath([path.parent for path in real])
    return tuple(path.relative_to(shared).as_posix() for path in real)


def is_picture(path: Path) -> bool:
    """By its name: one that can be read, or one that cannot and is to be named."""
    return path.suffix.lower() in IMAGE_SUFFIXES | UNREADABLE_SUFFIXES


def describe_suffixes(paths: Sequence[Path]) -> str:
    """ "3 files: .txt (2), .json (1)"; empty for none."""
    if not paths:
        return ""
    counts = Counter(path.suffix.lower() or "no ending" for path in paths).most_common()
    shown = ", ".join(f"{suffix} ({count})" for suffix, count in counts[:LISTED_SUFFIXES])
    return f"{len(paths)} files: {shown}{' …' if len(counts) > LISTED_SUFFIXES else ''}"


def _candidates(argument: str | Path) -> list[Path] | None:
    """The files of a folder or glob, sorted, without folders and hidden files; None for what is one file."""
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
    """Absolute, links in its folder followed: `a/../b.png` and `b.png` are one."""
    return Path(os.path.realpath(path.parent)) / path.name


def _listed(suffixes: Iterable[str]) -> str:
    return " ".join(sorted(suffixes))
