# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Types of command-line arguments. They refuse a value before torch, OpenCV or ROS is loaded."""

import argparse
import glob
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from seg_node.untrusted.printable import one_line, printable

LONGEST_LINE = 2000


class Parser(argparse.ArgumentParser):
    """A parser whose errors hold no control characters or endless names from the command line."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message, LONGEST_LINE))


def existing_file(text: str) -> str:
    """Return the text unchanged if it is the path of a file."""
    path = _existing(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a folder; give a file")
    return text


def existing_path(text: str) -> str:
    """Return the text unchanged if it is the path of a file or folder."""
    _existing(text)
    return text


def existing_folder(text: str) -> Path:
    if not _is_there(Path(text)):
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a file; give a folder")
    return Path(text)


def picture_input(text: str) -> str:
    """Return the text unchanged if it names a camera, or is a path or glob that matches something."""
    if text.isdecimal() or text.startswith("/dev/video") or _is_there(Path(text)):
        return text
    if any(glob.iglob(text, recursive=True)):
        return text
    raise argparse.ArgumentTypeError(f"{text}: no such image, video, bag or folder")


def output_folder(text: str) -> Path:
    """Return the path of a folder that exists, or that can be created below one that does."""
    path = Path(text)
    place = next(parent for parent in (path, *path.absolute().parents) if _is_there(parent))
    if not place.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: a file is in its place; name a folder, new or old")
    return path


def one_of(names: tuple[str, ...], kind: str) -> Callable[[str], str]:
    """Return a type that accepts these names only. kind: what they name, for the message."""

    def name(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"{kind} '{printable(text)}' is not known; choose from {', '.join(names)}"
            )
        return text

    return name


def device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(
            f"device '{printable(text)}' is not known; use auto, cpu, cuda or cuda:N"
        )
    return text


def fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is out of range; give a number from 0 to 1")
    return number


def count(text: str) -> int:
    """Parse a whole number from 1."""
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is out of range; give 1 or more")
    return int(text)


def _existing(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~nobody
        path = Path(text)
    if not _is_there(path):
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return path


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, or in a folder that may not be read
        return False
