# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Find, recognise (by their first bytes), decompress and open the files of a bag."""

import itertools
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any

import yaml

from seg_node.sources.bags.mcap import MCAP_MAGIC, McapFile
from seg_node.sources.bags.ros1 import ROS1_MAGIC, Ros1Bag
from seg_node.sources.bags.sqlite import SQLITE_MAGIC, SqliteBag
from seg_node.sources.bags.storage import Storage, zstd
from seg_node.untrusted.printable import listed

BAG_SUFFIXES = (".mcap", ".db3", ".bag", ".bag.active", ".db3.zstd", ".mcap.zstd")
MAX_METADATA_BYTES = 16 * 2**20
MAX_FILES, MAX_NAME = 10_000, 1000
_LIST = "relative_file_paths:"
_FLAT_LIST = re.compile(r"\[[^\[\]{}]{,10000}\]")
# of a compressed file; camera images compress far less
MAX_RATIO = 1000
_KINDS: dict[bytes, type[Any]] = {MCAP_MAGIC: McapFile, SQLITE_MAGIC: SqliteBag, ROS1_MAGIC: Ros1Bag}


def has_bag_suffix(path: Path) -> bool:
    return path.name.endswith(BAG_SUFFIXES)


def bag_name(path: Path) -> str:
    """The name of the file or folder without a bag's suffix."""
    name = path.absolute().name
    suffix = max((each for each in BAG_SUFFIXES if name.endswith(each)), key=len, default="")
    return name.removesuffix(suffix)


def is_bag(path: Path) -> bool:
    """Whether the path is a bag file, by name or content, or a folder with one."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or any(map(has_bag_suffix, path.iterdir()))
    return has_bag_suffix(path) or (path.is_file() and _kind(path) is not None)


def find_files(path: Path) -> list[Path]:
    """Find the files of a bag, in the order of recording.

    Raises FileNotFoundError if there is no such bag; ValueError if metadata.yaml cannot be read or names
    missing files, or if there is none and not exactly one bag file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such bag")
    if not path.is_dir():
        return [path]
    if not (path / "metadata.yaml").is_file():
        files = sorted(filter(has_bag_suffix, path.iterdir()))
        if len(files) != 1:
            raise ValueError(
                f"it holds {len(files)} bag files and no metadata.yaml; name one of the files, or: "
                f"ros2 bag reindex {path}"
            )
        return files
    files = [path / name for name in _read_metadata(path / "metadata.yaml")]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(f"metadata.yaml names missing files: {listed(missing)}")
    return files


def open_file(path: Path, stack: ExitStack) -> Storage:
    """Open one bag file, closed by the stack; a compressed one is first decompressed to a temporary file.

    Raises ValueError, OSError, and any error of the reader for a damaged file.
    """
    if path.suffix == ".zstd":
        path = _decompress(path, Path(stack.enter_context(tempfile.TemporaryDirectory())))
    kind = _kind(path)
    if kind is None:
        what = "it begins like none of sqlite3, MCAP and ROS 1" if path.stat().st_size else "it is empty"
        raise ValueError(f"{path.name}: {what}")
    storage: Storage = kind(path)
    stack.callback(storage.close)
    return storage


def _kind(path: Path) -> type[Any] | None:
    with path.open("rb") as file:
        start = file.read(16)
    return next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), None)


def _read_metadata(file: Path) -> list[str]:
    """Read the names of the bag's files, without folders, since they lie in the bag's own."""
    repair = f"repair it by: ros2 bag reindex {file.parent}"
    if file.stat().st_size > MAX_METADATA_BYTES:
        raise ValueError(f"metadata.yaml is over {MAX_METADATA_BYTES // 2**20} MB; {repair}")
    try:
        names = [PurePath(name).name for name in _names(file.read_text())]
    except Exception as error:  # PyYAML raises many types for damaged text
        raise ValueError(f"metadata.yaml is damaged ({type(error).__name__}); {repair}") from error
    if not 0 < len(names) <= MAX_FILES or not all(names):
        raise ValueError(f"metadata.yaml names no files, or more than {MAX_FILES}; {repair}")
    return names


def _names(text: str) -> Iterator[str]:
    """Parse the list relative_file_paths: one item per line, as rosbag2 and rosbags write it, or inline.

    The rest is not parsed, because 100 KB can keep a YAML parser busy for minutes or crash it.
    """
    lines = iter(text.splitlines())
    head = next((line for line in lines if line.lstrip().startswith(_LIST)), _LIST)
    in_line = head.lstrip().removeprefix(_LIST).strip()
    if _FLAT_LIST.fullmatch(in_line):
        yield from yaml.load(in_line, Loader=yaml.BaseLoader)
    for line in itertools.islice(lines, MAX_FILES + 1):
        item = line.strip()
        if in_line or not item.startswith("- "):
            return
        yield yaml.load(item[: MAX_NAME + 2], Loader=yaml.BaseLoader)[0]


def _decompress(path: Path, folder: Path) -> Path:
    """Decompress a file that its recorder compressed as a whole."""
    limit = min(path.stat().st_size * MAX_RATIO, shutil.disk_usage(folder).free)
    target = folder / path.stem
    with zstd().open(path, "rb") as packed, target.open("wb") as plain:
        while block := packed.read(2**20):
            plain.write(block)
            if plain.tell() > limit:
                raise ValueError(f"{path.name} unpacks to over {limit / 1e6:.0f} MB, too much for its size")
    return target
