# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Groups of classes in the user's labels file: several classes under one name, others dropped, new class ids.

groups: {dish: [cup, bowl], furniture: [chair, 57]}   # names, or the checkpoint's class ids
drop: [person]                                        # "*": all classes that are in no group
ids: {dish: 1, furniture: 2}                          # of groups, and of classes that are in none
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seg_node.labels import MAX_ID, check_name, check_text, read_labels_file
from seg_node.untrusted.printable import printable

REST = "*"  # as in the files of classes of `seg_node train`

Reference = str | int  # a class by its name or class id


@dataclass(frozen=True)
class GroupRules:
    """The groups of a labels file, before the checkpoint's classes are known.

    groups: the classes of each. dropped: classes; drops_rest: whether all that are in no group are dropped.
    ids: the class ids of groups and of other classes, by name.
    """

    groups: Mapping[str, Sequence[Reference]]
    dropped: Sequence[Reference] = ()
    drops_rest: bool = False
    ids: Mapping[str, int] = field(default_factory=dict)


def read_groups(path: Path) -> GroupRules | None:
    """Read the keys groups, drop and ids of a labels file; None if it has none of them.

    Raises FileNotFoundError; ValueError for content that fits no checkpoint.
    """
    content = read_labels_file(path)
    if not content.keys() & {"groups", "drop", "ids"}:
        return None
    try:
        groups = _read_lists(content.get("groups", {}))
        dropped = _as_list(content.get("drop"), "drop")
        places = [(f"group {shown_name(group)}", references) for group, references in groups.items()]
        _refuse_repeated([*places, ("drop", dropped)])
        if any(REST in references for references in groups.values()):
            raise ValueError(f"{REST!r} is for drop; name the classes of a group")
        ids = _read_ids(content.get("ids", {}))
    except ValueError as error:
        raise ValueError(f"{path}: not a labels file ({error})") from error
    return GroupRules(groups, [one for one in dropped if one != REST], REST in dropped, ids)


def _read_lists(groups: Any) -> dict[str, list[Reference]]:
    if not isinstance(groups, dict):
        raise ValueError("expected groups with their classes, as in groups: {dish: [cup, bowl]}")
    read = {}
    for name, members in groups.items():
        check_text(name)
        check_name(name, "a group")
        read[name] = _as_list(members, f"group {shown_name(name)}")
        if not read[name]:
            raise ValueError(f"group {shown_name(name)} is empty; name its classes")
    return read


def _as_list(references: Any, where: str) -> list[Reference]:
    """Read one class, a list of classes, or null for none."""
    if references is None:
        return []
    these = references if isinstance(references, list) else [references]
    for one in these:
        if isinstance(one, bool) or not isinstance(one, str | int):
            shown = repr(one) if isinstance(one, bool | float | None) else f"a {type(one).__name__}"
            raise ValueError(f"{where}: {shown} is neither a name, in quotes, nor a class id")
    return these


def _refuse_repeated(lists: Iterable[tuple[str, Sequence[Reference]]]) -> None:
    """Refuse a class that is written twice. lists: each with its place, "drop" or the name of a group."""
    place_of: dict[Reference, str] = {}
    for place, references in lists:
        for one in references:
            if one in place_of:
                places = f"{place} twice" if place_of[one] == place else f"{place_of[one]} and {place}"
                raise ValueError(f"class {shown_name(one)} is in {places}; remove it from one")
            place_of[one] = place


def _read_ids(ids: Any) -> dict[str, int]:
    if not isinstance(ids, dict):
        raise ValueError("expected class ids by name, as in ids: {dish: 1}")
    owner: dict[int, str] = {}
    for name, number in ids.items():
        check_text(name)
        if type(number) is not int or not 0 <= number <= MAX_ID:
            shown = number if isinstance(number, int | float) else printable(str(number))
            raise ValueError(f"ids: {shown} of {shown_name(name)} is not a number from 0 to {MAX_ID}")
        if number in owner:
            raise ValueError(
                f"ids: {number} is given to {shown_name(owner[number])} and {shown_name(name)}; change one"
            )
        owner[number] = name
    return {name: number for number, name in owner.items()}


def shown_name(name: Reference) -> str:
    """Quote a name for an error; a class id as it is."""
    return repr(name) if isinstance(name, int) else f"'{printable(name)}'"
