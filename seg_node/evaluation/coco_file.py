# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read and check a COCO file's lists of images and categories, with notes on deviations from the format.

Source of the format: https://cocodataset.org/#format-data.
"""

import codecs
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from seg_node.evaluation.coco_fields import (
    Id,
    check_one_type,
    one_line,
    read_count,
    read_file_name,
    read_id,
    read_name,
    shown,
)
from seg_node.evaluation.true_pictures import TrueImage

Entries = Sequence[Mapping[str, Any]]
_LISTS = ("images", "annotations", "categories")
_MAX_PIXELS = 2**31  # per picture: pycocotools counts them in a C int


class Notes:
    """Deviations from COCO's format that were accepted, one line for each kind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, tuple[str, int]] = {}  # the first entry, and the number of entries

    def add(self, text: str, where: str) -> None:
        """Count a deviation. where: the entry that has it."""
        first, count = self._found.get(text, (where, 0))
        self._found[text] = first, count + 1

    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{self._path}: {text} ({first}{f' and {count - 1} more' if count > 1 else ''})"
            for text, (first, count) in self._found.items()
        )


def read_coco(path: Path, notes: Notes) -> dict[str, Any]:
    """Read the file's content, with lists of entries under images, annotations and categories.

    Raises FileNotFoundError; ValueError when it is no JSON, or a list is missing or holds anything else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of ground truth")
    try:
        data = path.read_bytes()
        content = json.loads(data)  # it detects the encoding of bytes and skips a byte order mark
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a JSON file: it is not a text in UTF-8; save it as that") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    if data.startswith(codecs.BOM_UTF8):
        notes.add("a byte order mark is skipped", "at its beginning")
    for key in _LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path}: not a ground truth in COCO's format: it has no list {key!r}")
        for index, entry in enumerate(content[key]):
            if not isinstance(entry, dict):
                raise ValueError(f'{path}: {key}[{index}] is {shown(entry)}; it must be an entry {{"id": …}}')
    return content


@contextmanager
def errors_about(path: Path, label: Callable[[], str]) -> Iterator[None]:
    """Prefix the errors of an entry's values with the file and the entry's label.

    label: a function, because few of a million entries need one.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {label()} {error}") from error


def label_of(kind: str, entry: Mapping[str, Any], index: int) -> str:
    """Name an entry, such as "image 7", or by its position where it has no id."""
    return f"{kind} {shown(entry['id'])}" if "id" in entry else f"{kind} at place {index} of its list"


def read_images(
    entries: Entries, path: Path, notes: Notes, *, of_stream: bool = False
) -> dict[Id, TrueImage]:
    """Return the images by id. of_stream: file names may be missing, and are empty then.

    Raises ValueError naming the file, the entry, and what is wrong with it.
    """
    images: dict[Id, TrueImage] = {}
    for index, entry in enumerate(entries):
        label = partial(label_of, "image", entry, index)
        with errors_about(path, label):
            image = _image(entry, needs_file="file_name" in entry or not of_stream)
        if isinstance(entry["height"], float) or isinstance(entry["width"], float):
            notes.add("sizes written as 240.0 are read as 240", label())
        known = images.setdefault(image.id, image)
        if known != image:
            raise ValueError(
                f"{path}: image id {shown(image.id)} is {one_line(known.file_name)} and "
                f"{one_line(image.file_name)}; give each picture an id of its own"
            )
    check_one_type(images, f"{path}: ids of images")
    _note_twice(images, notes)
    return images


def read_categories(entries: Entries, path: Path, notes: Notes) -> dict[Id, str]:
    """Return the names by id. Raises ValueError naming the file, the entry, and what is wrong with it."""
    names: dict[Id, str] = {}
    for index, entry in enumerate(entries):
        label = partial(label_of, "category", entry, index)
        with errors_about(path, label):
            category_id, name = read_id(entry, "id"), read_name(entry, "name")
        if not isinstance(entry["name"], str):
            notes.add("a category's number is read as its name", label())
        elif entry["name"] != name:
            notes.add("blanks around a category's name are left out", label())
        if category_id in names:
            raise ValueError(
                f"{path}: category id {shown(category_id)} is {shown(names[category_id])} and {shown(name)}; "
                "give each category an id of its own"
            )
        names[category_id] = name
    check_one_type(names, f"{path}: ids of categories")
    return names


def without_groups(
    names: Mapping[Id, str], entries: Entries, used: Collection[Id], notes: Notes
) -> dict[Id, str]:
    """Drop groups of categories, which are no classes: exports of Roboflow begin with one.

    used: ids of categories with annotations, which are no groups.
    """
    kept: dict[Id, str] = {}
    groups = _groups(names, entries) - set(used)
    for category_id, name in names.items():
        if category_id in groups:
            notes.add(
                "a group of categories without annotations is left out",
                f"category {shown(category_id)}, {shown(name)}",
            )
        else:
            kept[category_id] = name
    return kept


def _groups(names: Mapping[Id, str], entries: Entries) -> set[Id]:
    """Find categories that others name as their supercategory, and Roboflow's: 0, alone below "none"."""
    above = {i: entry.get("supercategory") for i, entry in zip(names, entries, strict=True)}
    named = {name for name in above.values() if isinstance(name, str)}
    # COCO's category "person" has the supercategory "person"
    groups = {i for i, name in names.items() if name in named and above[i] != name}
    alone = [i for i, name in above.items() if name in ("none", None)]
    if len(names) > 1 and alone == [0] and above[0] == "none":
        groups.add(0)
    return groups


def check_names(names: Mapping[Id, str], path: Path) -> None:
    """Raise ValueError when two categories have the same name, ignoring case."""
    seen: set[str] = set()
    for name in names.values():
        if name.lower() in seen:
            raise ValueError(f"{path}: two categories are called {shown(name)}; rename one, or join them")
        seen.add(name.lower())


def _note_twice(images: Mapping[Id, TrueImage], notes: Notes) -> None:
    first: dict[str, Id] = {}
    for image in images.values():
        earlier = first.setdefault(image.file_name, image.id)
        if earlier != image.id and image.file_name:
            notes.add(
                "one picture under two ids counts as two, each with its own objects",
                f"{one_line(image.file_name, 80)} is image {shown(earlier)} and {shown(image.id)}",
            )


def _image(entry: Mapping[str, Any], *, needs_file: bool) -> TrueImage:
    image_id, file_name = read_id(entry, "id"), read_file_name(entry, "file_name") if needs_file else ""
    height, width = read_count(entry, "height"), read_count(entry, "width")
    if height * width >= _MAX_PIXELS:
        raise ValueError(f"has the size {shown(width)} x {shown(height)}, too large for a picture")
    return TrueImage(image_id, file_name, (height, width))
