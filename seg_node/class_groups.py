# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Classes of a checkpoint under the names and class ids of the groups in the user's labels file."""

import itertools
import logging
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seg_node.groups_file import GroupRules, Reference, shown_name
from seg_node.labels import MAX_ID, check_labels
from seg_node.types import LabelSet
from seg_node.untrusted.printable import listed

logger = logging.getLogger(__name__)

NO_CLASS = MAX_ID + 1  # in place of a class id that the checkpoint cannot have
_DROPPED = -1
_LAST_IN_CLASS_MAP = 254  # 8 bits, and 255 is unlabelled
_MAX_LISTED = 200  # names of known classes in an error


@dataclass(frozen=True)
class ClassGroups:
    """How a checkpoint's classes become the user's.

    labels: the user's. new_ids: class ids of `labels` by the checkpoint's; the other classes are dropped.
    last: the checkpoint's highest class id.
    """

    labels: LabelSet
    new_ids: Mapping[int, int]
    last: int

    def renumber(self, class_ids: NDArray[np.integer]) -> NDArray[np.int32]:
        """Replace class ids (N,): -1 for a dropped class, NO_CLASS for one beyond the checkpoint's."""
        inside = (class_ids >= 0) & (class_ids < len(self._table))
        return np.where(inside, self._table[np.where(inside, class_ids, 0)], np.int32(NO_CLASS))

    def members(self, class_ids: Iterable[int] | None) -> frozenset[int] | None:
        """Return the checkpoint's class ids of the user's; None, all: None if no class is dropped."""
        if class_ids is None:
            return frozenset(self.new_ids) if self._drops else None
        return frozenset().union(*(self._members.get(class_id, ()) for class_id in class_ids))

    @cached_property
    def joined(self) -> frozenset[int]:
        """The user's class ids that stand for several of the checkpoint's."""
        return frozenset(class_id for class_id, members in self._members.items() if len(members) > 1)

    @cached_property
    def joins_stuff(self) -> bool:
        return not self.joined.isdisjoint(self.labels.stuff)

    @cached_property
    def _drops(self) -> bool:
        return bool((self._table == _DROPPED).any())

    @cached_property
    def _members(self) -> Mapping[int, Sequence[int]]:
        members: dict[int, list[int]] = defaultdict(list)
        for before, after in self.new_ids.items():
            members[after].append(before)
        return members

    @cached_property
    def _table(self) -> NDArray[np.int32]:
        """New class id by the checkpoint's; classes without a name (COCO's unused ids) are dropped."""
        table = np.full(self.last + 1, _DROPPED, np.int32)
        table[list(self.new_ids)] = list(self.new_ids.values())
        return table


def group_classes(rules: GroupRules, labels: LabelSet) -> ClassGroups:
    """Apply the rules to the classes of a checkpoint.

    A group gets the class id of its first class in the checkpoint, a class in no group keeps its own, unless
    `ids` gives that number to another: it then moves behind the checkpoint's last (with a warning).
    Raises ValueError for rules that do not fit the classes.
    """
    names = {**labels.things, **labels.stuff}
    find = _Finder(names)
    members = {group: find.all(these, f"group {shown_name(group)}") for group, these in rules.groups.items()}
    dropped = set(find.all(rules.dropped, "drop"))
    group_of = _invert(members, dropped, names)
    for group, class_ids in members.items():
        _refuse_mixture(group, class_ids, labels)
        others = [class_id for class_id in find.by_name.get(group, ()) if group_of.get(class_id) != group]
        if not dropped.issuperset(others):
            raise ValueError(
                f"group {shown_name(group)} has the name of a class that is not in it; add the class to it, "
                "drop it by its name, or rename the group"
            )
    gone = names.keys() if rules.drops_rest else dropped | group_of.keys()
    rest = {class_id: name for class_id, name in names.items() if class_id not in gone}
    if not members and not rest:
        raise ValueError("every class is dropped; keep one")
    _check_ids(rules, rest, find)
    entries = [(min(class_ids), group, class_ids) for group, class_ids in members.items()]
    entries += [(class_id, name, [class_id]) for class_id, name in rest.items()]
    new_ids = _number(sorted(entries), rules.ids, max(names))
    kept = {new_ids[i]: group_of.get(i, names[i]) for i in sorted(new_ids, key=new_ids.__getitem__)}
    stuff = {new_ids[i] for i in labels.stuff if i in new_ids}
    grouped = LabelSet(
        {i: name for i, name in kept.items() if i not in stuff},
        {i: name for i, name in kept.items() if i in stuff},
        {group: tuple(names[i] for i in class_ids) for group, class_ids in members.items()},
    )
    check_labels(grouped)
    return ClassGroups(grouped, new_ids, max(names))


class _Finder:
    """Find the classes of a checkpoint."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = names
        self.by_name: dict[str, list[int]] = defaultdict(list)  # a checkpoint may have a name twice
        for class_id, name in names.items():
            self.by_name[name].append(class_id)

    def all(self, references: Iterable[Reference], where: str) -> list[int]:
        """Return the class ids, each once. Raises ValueError for an unknown class."""
        found: dict[int, None] = {}
        for one in references:
            if isinstance(one, int):
                class_ids, shown = [one] if one in self.names else [], f"class id {one}"
            else:
                class_ids, shown = self.by_name.get(one, []), f"class {shown_name(one)}"
            if not class_ids:
                raise ValueError(f"{where}: the model has no {shown}; it knows {self.known()}")
            found.update(dict.fromkeys(class_ids))
        return list(found)

    def known(self) -> str:
        return listed([f"{name} ({class_id})" for class_id, name in self.names.items()], _MAX_LISTED)


def _invert(
    members: Mapping[str, Iterable[int]], dropped: Container[int], names: Mapping[int, str]
) -> dict[int, str]:
    """Return the group of each class id that is in one."""
    group_of: dict[int, str] = {}
    for group, class_ids in members.items():
        for class_id in class_ids:
            if class_id in dropped or class_id in group_of:
                other = "drop" if class_id in dropped else f"group {shown_name(group_of[class_id])}"
                both = f"group {shown_name(group)} and {other}"
                raise ValueError(f"class {shown_name(names[class_id])} is in {both}; remove it from one")
            group_of[class_id] = group
    return group_of


def _refuse_mixture(group: str, class_ids: Iterable[int], labels: LabelSet) -> None:
    things, stuff = ([part[i] for i in class_ids if i in part] for part in (labels.things, labels.stuff))
    if things and stuff:
        both = f"things ({shown_name(things[0])}) and stuff ({shown_name(stuff[0])})"
        raise ValueError(f"group {shown_name(group)} has {both}; make two groups of it")


def _check_ids(rules: GroupRules, rest: Mapping[int, str], find: _Finder) -> None:
    """Raise ValueError unless each name with a number is a group's or that of one class that is left."""
    for name in rules.ids.keys() - rules.groups.keys():
        if name not in find.by_name:
            raise ValueError(
                f"ids: neither a group nor a class is named {shown_name(name)}; there are the groups "
                f"{listed(list(rules.groups)) or 'none'} and the classes {find.known()}"
            )
        left = sum(class_id in rest for class_id in find.by_name[name])
        if left == 0:
            raise ValueError(f"ids: class {shown_name(name)} is in a group or dropped; remove its number")
        if left > 1:
            raise ValueError(f"ids: {shown_name(name)} is the name of {left} classes; make a group of them")
    hidden = [f"{name} ({number})" for name, number in rules.ids.items() if number > _LAST_IN_CLASS_MAP]
    if hidden:
        logger.warning(
            "class_map has room for class ids up to %d: not %s", _LAST_IN_CLASS_MAP, listed(hidden)
        )


def _number(
    entries: Iterable[tuple[int, str, Iterable[int]]], ids: Mapping[str, int], last: int
) -> dict[int, int]:
    """Return the new id of each of the checkpoint's.

    entries: the class id that it would keep, the name and the checkpoint's class ids of each class that is
    left. last: the checkpoint's last class id.
    """
    taken = set(ids.values())
    free = (number for number in itertools.count(last + 1) if number not in taken)
    new_ids: dict[int, int] = {}
    moved = []
    for own, name, class_ids in entries:
        number = ids.get(name, own)
        if name not in ids and own in taken:
            number = next(free)
            moved.append(f"{name} ({own} to {number})")
        new_ids.update(dict.fromkeys(class_ids, number))
    if moved:
        logger.warning(
            "the labels file gives ids of other classes to its groups; these classes move: %s", listed(moved)
        )
    return new_ids
