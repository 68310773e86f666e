# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Find, read and check the pictures and panoptic maps that a ground truth names."""

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seg_node.evaluation.coco_fields import Id, one_line
from seg_node.sources.image_formats import PICTURE_FORMATS
from seg_node.sources.source import read_image
from seg_node.types import Frame

_EXAMPLES = 3  # names in an error


@dataclass(frozen=True)
class TrueImage:
    """One image of the set. size: (height, width) of the upright image."""

    id: Id
    file_name: str
    size: tuple[int, int]


def find_file(folder: Path, name: str) -> Path | None:
    """Find the file of that name, which may be written with the backslashes of Windows.

    None when there is none, or anything but a file with content: a device could block its reader.

    Raises ValueError when the name or a symbolic link leads out of the folder: a ground truth from elsewhere
    must not choose other files of this machine.
    """
    for written in dict.fromkeys((name, name.replace("\\", "/"))):
        _check_inside(folder, name, folder / written)
        if has_content(folder / written):
            return folder / written
    return None


def _check_inside(folder: Path, name: str, path: Path) -> None:
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    if inside and not PureWindowsPath(name).is_absolute():
        return
    own = name.replace("\\", "/").rpartition("/")[2]
    cure = "copy the file into the folder, and write its name there"
    if not inside and Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):
        cure = "it is a symbolic link, or below one: copy the file into the folder"
    elif has_content(folder / own):
        cure = f"write {one_line(own, 80)}, which is in the folder"
    raise ValueError(f"file_name {one_line(name, 80)} leads out of the folder {folder}; {cure}")


def describe_backslashes(names: Iterable[str], folder: Path) -> str | None:
    """Return a line when files are found only because backslashes in their names are read as slashes."""
    found = [name for name in names if "\\" in name and not has_content(folder / name)]
    if not found:
        return None
    examples = f"{one_line(found[0], 80)}, {len(found)} in all"
    return f"{folder}: backslashes in file names are read as slashes ({examples})"


def describe_missing(kind: str, names: Sequence[str], total: int, folder: Path) -> str:
    """Describe in one line which files of a ground truth are not in their folder, and how to fix it.

    kind: what they are, such as "images". total: how many the ground truth has.
    """
    examples = ", ".join(one_line(name, 80) for name in names[:_EXAMPLES])
    more = ", …" if len(names) > _EXAMPLES else ""
    cure = _other_path(names[0], folder) or f"is it the folder of these {kind}?"
    count = (
        f"none of the {total} {kind} is" if len(names) == total else f"{len(names)} of {total} {kind} are not"
    )
    return f"{count} in {folder}: {examples}{more}; {cure}"


def _other_path(name: str, folder: Path) -> str | None:
    """Return the cure where a missing file is found by another path."""
    parts = name.replace("\\", "/").split("/")
    if parts[0] == folder.absolute().name:
        above = os.path.normpath(folder / "..")
        return f"the names begin with {one_line(parts[0], 80)} already: name the folder above, {above}"
    if has_content(folder / parts[-1]):
        return f"{one_line(parts[-1], 80)} is there: write the names without the folders before them"
    return None


def read_picture(path: Path, size: tuple[int, int]) -> Frame:
    """Read a picture. Raises ValueError when it is missing, damaged, or not (height, width) upright."""
    if not has_content(path):
        raise ValueError(f"{one_line(str(path))}: no such image (or it is empty)")
    frame = read_image(path)
    if frame.image_size != size:
        (height, width), (true_height, true_width) = frame.image_size, size
        raise ValueError(
            f"{path}: is {width}x{height} upright, but the ground truth says {true_width}x{true_height}"
        )
    return frame


def check_header(path: Path, size: tuple[int, int]) -> None:
    """Check a picture by its header only, which is fast enough for a whole data set before its use.

    Raises ValueError when it is no picture, or is neither (height, width) nor that turned by 90 degrees: its
    EXIF orientation may be at the end of the file.
    """
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as file:
            width, height = file.size
    except Exception as error:  # on damaged files Pillow's decoders raise errors of many kinds
        raise ValueError(f"{path}: cannot be read as an image ({error})") from error
    if {height, width} != set(size):
        raise ValueError(f"{path}: is {width}x{height}, but the ground truth says {size[1]}x{size[0]}")


def read_true_image(folder: Path, image: TrueImage) -> Frame:
    """Read an image of the ground truth. Raises ValueError, see `find_file` and `read_picture`."""
    path = find_file(folder, image.file_name)
    if path is None:
        cure = _other_path(image.file_name, folder)
        more = f" in {folder}; {cure}" if cure else ""
        raise ValueError(f"{one_line(str(folder / image.file_name))}: no such image (or it is empty){more}")
    return read_picture(path, image.size)


def read_segment_map(
    path: Path, size: tuple[int, int] | None = None, ids: Collection[int] | None = None
) -> NDArray[np.int32]:
    """Read the (H, W) segment ids of a panoptic PNG: R + 256 G + 65536 B, 0 void.

    size: (height, width) that it must have. ids: segments that it must have; a map with one channel (grey or
    palette) is read by its values if they are these ids, since some tools write such maps.

    Raises ValueError when it is missing, damaged, of another size, or has other segments.
    """
    if not has_content(path):
        raise ValueError(f"{one_line(str(path))}: no such panoptic map (or it is empty)")
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as file:
            if size is not None and file.size != size[::-1]:
                raise ValueError(f"is {file.width}x{file.height}, but its picture {size[1]}x{size[0]}")
            segment_map = _segment_ids(file, ids)
    except Exception as error:  # on damaged files Pillow's decoders raise errors of many kinds
        raise ValueError(f"{path}: cannot be read as a panoptic map ({error})") from error
    if ids is not None:
        _check_segments(set(np.unique(segment_map).tolist()) - {0}, set(ids), path)
    return segment_map


def has_one_channel(path: Path) -> bool:
    """Return whether a panoptic map is grey or has a palette, by its header; False if it cannot be read."""
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as file:
            return len(file.getbands()) < 3
    except Exception:  # on damaged files Pillow's decoders raise errors of many kinds
        return False


def relabel(segment_map: NDArray[np.int32], value_of: Mapping[int, int], other: int) -> NDArray[np.int32]:
    """Replace each segment id of (H, W) by its value, ids without a value by `other`."""
    if not value_of:
        return np.full_like(segment_map, other)
    ids = np.array(sorted(value_of), np.int32)
    values = np.array([value_of[i] for i in ids.tolist()], np.int32)
    place = np.searchsorted(ids, segment_map).clip(max=len(ids) - 1)
    return np.where(ids[place] == segment_map, values[place], other)


def _segment_ids(file: Image.Image, ids: Collection[int] | None) -> NDArray[np.int32]:
    is_colour = len(file.getbands()) > 2
    if is_colour or not file.mode.startswith("I"):  # 16 bits would be cut to 8
        colours = np.asarray(file.convert("RGB"))
        found = colours[..., 0].astype(np.int32)
        for channel, shift in ((1, 8), (2, 16)):
            found += colours[..., channel].astype(np.int32) << shift
        if is_colour or ids is None or _are_listed(found, ids):
            return found
    values = np.asarray(file.getchannel(0) if len(file.getbands()) > 1 else file)
    if ids is not None and values.dtype.kind in "biu" and _are_listed(values, ids):
        return values.astype(np.int32)
    kind = "a palette" if file.mode.startswith("P") else "one channel"
    raise ValueError(
        f"has {kind} whose values are not the ids of its segments; write colours, R + 256 G + 65536 B"
    )


def _check_segments(found: set[int], listed: set[int], path: Path) -> None:
    for there, not_there, text in (
        (found, listed, "are in the map, but not in the list of segments"),
        (listed, found, "are in the list of segments, but not in the map"),
    ):
        if wrong := sorted(there - not_there):
            more = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
            raise ValueError(f"{path}: segment ids {', '.join(map(str, wrong[:10]))}{more} {text}")


def _are_listed(segment_map: NDArray[np.integer], ids: Collection[int]) -> bool:
    return set(np.unique(segment_map).tolist()) <= {0, *ids}


def has_content(path: Path) -> bool:
    """Return whether the path is a file, no device or pipe, and not empty."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # too long, or with a NUL
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0
