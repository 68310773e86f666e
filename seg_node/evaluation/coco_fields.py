# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Check single values of a COCO file, which may hold anything in any place.

Errors begin with a verb ("has height '240'; …"); the caller puts the name of the entry before it.
"""

import math
import os
import re
import reprlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from seg_node.untrusted.printable import escaped

Id = int | str

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_NUMBER = re.compile("-?[0-9]{1,100}")
_MAX_PATH = 4096  # characters; the limit of Linux


def shown(value: Any) -> str:
    """Format a value for an error: short, on one line, without raw control characters."""
    return "null" if value is None else _SHORT.repr(value)


def one_line(text: str, limit: int = 200) -> str:
    """Format text for the terminal: escape control characters and lone surrogates, cut at the limit."""
    return escaped(text[:limit]) + ("…" if len(text) > limit else "")


def value_of(entry: Mapping[str, Any], key: str) -> Any:
    """Return the entry's value. Raises ValueError when it has none."""
    if key not in entry:
        raise ValueError(f"has no {key!r}")
    return entry[key]


def whole_number(value: Any) -> int | None:
    """Return the number, also one written as 240.0; None for anything else, such as True and "240"."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_id(entry: Mapping[str, Any], key: str) -> Id:
    """Read a whole number or text. Raises ValueError."""
    value = value_of(entry, key)
    number = whole_number(value)
    if number is None and not isinstance(value, str):
        raise ValueError(f"has {key} {shown(value)}; it must be a whole number or text")
    return value if number is None else number


def read_count(entry: Mapping[str, Any], key: str) -> int:
    """Read a whole number from 1. Raises ValueError."""
    value = value_of(entry, key)
    number = whole_number(value)
    if number is None or number < 1:
        raise ValueError(f"has {key} {shown(value)}; it must be a whole number from 1, without quotes")
    return number


def read_flag(entry: Mapping[str, Any], key: str) -> bool:
    """Read 0, 1, false or true; null and a missing key are false. Raises ValueError."""
    value = entry.get(key)
    if value is None:
        return False
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise ValueError(f"has {key} {shown(value)}; it must be 0 or 1, without quotes")


def read_name(entry: Mapping[str, Any], key: str) -> str:
    """Read text, stripped of blanks and line breaks, or a number as text. Raises ValueError."""
    value = value_of(entry, key)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        number = whole_number(value)
        return str(value if number is None else number)
    if not isinstance(value, str) or not value.strip() or not _can_encode(value):
        raise ValueError(f"has {key} {shown(value)}; it must be text")
    return value.strip()


def read_file_name(entry: Mapping[str, Any], key: str) -> str:
    """Read text that can name a file. Raises ValueError."""
    value = value_of(entry, key)
    if not isinstance(value, str) or not value or len(value) > _MAX_PATH or "\0" in value:
        raise ValueError(f"has {key} {shown(value)}; it must be the path of a file")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise ValueError(f"has {key} {shown(value)}, which cannot name a file") from None
    return value


def is_listed(kind: str, value: Id, listed: Collection[Id]) -> bool:
    """Return whether the id is listed. Raises ValueError when only its twin is: "7" for 7, or 7 for "7"."""
    if value in listed:
        return True
    twin: Id | None = str(value) if isinstance(value, int) else None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        twin = int(value)
    if twin is not None and twin in listed:
        raise ValueError(
            f"is of {kind} {shown(value)}, which is listed as {shown(twin)}; ids as text and as numbers are "
            "different: write both alike"
        )
    return False


def in_order(ids: Iterable[Id]) -> list[Id]:
    """Sort ids of one type: numbers by value, text alphabetically."""
    ordered: list[Any] = list(ids)
    ordered.sort()
    return ordered


def check_one_type(ids: Iterable[Id], what: str) -> None:
    """Raise ValueError when some of the ids are numbers and others text."""
    first_of = {type(i): i for i in ids}
    if len(first_of) > 1:
        found = " and ".join(shown(i) for i in first_of.values())
        raise ValueError(f"{what} must be all numbers or all text; there are {found}")


def _can_encode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
