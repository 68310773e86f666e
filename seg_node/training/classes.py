# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The classes to train, and the data set categories that map to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seg_node.evaluation.coco_fields import shown
from seg_node.untrusted.plain_data import MAX_YAML_BYTES, parse_yaml, read_text

REST = "*"  # in a class file: every category that no other class includes
UNKNOWN = 255  # in a semantic map: ignored by the loss
THING = 0  # in a semantic map: any thing


@dataclass(frozen=True)
class ClassMap:
    """The model's things and stuff, each with the categories (lower case) that it includes.

    In the network the things are 1, 2, … (0: background); in its semantic branch the stuff is 1, 2, …
    (0: a thing). Regions of an ignored category do not count in training.
    """

    things: Mapping[str, frozenset[str]]
    stuff: Mapping[str, frozenset[str]]
    ignored: frozenset[str] = frozenset()

    def is_ignored(self, category: str) -> bool:
        return category.lower() in self.ignored

    def thing_of(self, category: str) -> int:
        """Return the number of the thing class that includes a category, 0 for none."""
        return self._thing_numbers.get(category.lower(), 0)

    def stuff_of(self, category: str) -> int:
        """Return the value of a category's pixels in a semantic map."""
        if self.is_ignored(category):
            return UNKNOWN
        if self.thing_of(category):
            return THING
        return self._stuff_numbers.get(category.lower()) or self._stuff_numbers.get(REST) or UNKNOWN

    @cached_property  # used for every annotation
    def _thing_numbers(self) -> dict[str, int]:
        return _numbers(self.things)

    @cached_property
    def _stuff_numbers(self) -> dict[str, int]:
        return _numbers(self.stuff)

    def exhaustive_things(self, exhaustive: Iterable[str], categories: Iterable[str]) -> tuple[bool, ...]:
        """Return for the background and each thing whether every object of it in a picture is drawn.

        exhaustive: the categories whose every object is drawn. categories: all of the data set. A class that
        includes none of them is not exhaustive; one with several is when all of them are.
        """
        drawn, listed = ({name.lower() for name in names} for names in (exhaustive, categories))
        return True, *(bool(taken & listed) and (taken & listed) <= drawn for taken in self.things.values())


def read_class_map(path: Path) -> ClassMap:
    """Read YAML: `things` and optionally `stuff`, each {class: [category, …]}; "*" includes all the rest.

    A class always includes the category of its own name. `ignore` lists categories that belong to no class,
    but are too similar to be trained as background.
    Raises FileNotFoundError, and ValueError for any other content.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of classes")
    try:
        content = parse_yaml(read_text(path, MAX_YAML_BYTES), path.name)
        known = {"things", "stuff", "ignore"}
        if not isinstance(content, dict) or not content.get("things") or content.keys() - known:
            raise ValueError("expected the keys things and, if there is any, stuff and ignore")
        ignored = frozenset(_name(name).lower() for name in _categories(content.get("ignore")))
        classes = ClassMap(_read_part(content["things"]), _read_part(content.get("stuff") or {}), ignored)
        _check(classes)
    except ValueError as error:
        raise ValueError(f"{path}: not a file of classes ({error})") from error
    return classes


def own_class_map(things: Iterable[str], stuff: Iterable[str]) -> ClassMap:
    """Make every category its own class."""
    thing_map, stuff_map = ({name: frozenset({name.lower()}) for name in names} for names in (things, stuff))
    return ClassMap(thing_map, stuff_map)


def _numbers(classes: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """Number each category by its class, 1, 2, …; the first class that includes it wins."""
    numbers: dict[str, int] = {}
    for number, taken in enumerate(classes.values(), start=1):
        for category in taken:
            numbers.setdefault(category, number)
    return numbers


def _read_part(part: Any) -> dict[str, frozenset[str]]:
    if isinstance(part, list):
        part = {_name(name): None for name in part}
    if not isinstance(part, dict):
        raise ValueError("expected classes with the categories that they take")
    return {
        _name(name): frozenset({_name(name).lower(), *(_name(c).lower() for c in _categories(taken))})
        for name, taken in part.items()
    }


def _categories(taken: Any) -> list[Any]:
    """Read one name, a list of names, or null for none."""
    if isinstance(taken, dict):
        raise ValueError("expected a list of categories for each class")
    return taken if isinstance(taken, list) else [] if taken is None else [taken]


def _name(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):  # YAML reads no and off as false
        raise ValueError(f"{shown(value)} is not a name; write it in quotes")
    return str(value)


def _check(classes: ClassMap) -> None:
    seen: set[str] = set()
    for taken in (*classes.things.values(), *classes.stuff.values(), classes.ignored):
        if taken & seen:
            raise ValueError(f"{min(taken & seen)!r} belongs to two classes")
        seen |= taken
    if any(REST in taken for taken in classes.things.values()):
        raise ValueError(f"{REST!r} is for stuff; name the categories of a thing")
