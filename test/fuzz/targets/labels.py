# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""File of class names and groups → LabelSet (seg_node.labels, seg_node.class_groups)."""

from pathlib import Path
from random import Random

import yaml

from fuzz import trees
from fuzz.target import Input, Target
from seg_node.class_groups import group_classes
from seg_node.groups_file import read_groups
from seg_node.labels import one_based_labels, read_labels, zero_based_labels

_VALID = {"things": ["cup", "can", "box"], "stuff": ["table"]}
_GROUPS = {
    "groups": {"dish": ["cup", "bowl", 42], "seat": 56},
    "drop": ["person"],
    "ids": {"dish": 1, "bus": 9},
}
_BY_ID = {"things": {1: "cup", 2: "can", 5: "box"}, "stuff": {7: "table"}}


def make(random: Random) -> Input:
    if random.random() < 0.03:
        text = _many_names(random.choice((1000, 60_000)))
    else:
        text = trees.yaml_text(random.choice((_VALID, _BY_ID, _GROUPS, {**_VALID, **_GROUPS})), random)
    data = (
        text.encode("utf-8", "surrogatepass") if random.random() < 0.95 else text.encode("latin-1", "replace")
    )
    return {"data": data, "first_id": random.choice((0, 1))}


def _many_names(count: int) -> str:
    return str(yaml.safe_dump({"things": [f"class {i}" for i in range(count)]}))


def _many_groups(count: int) -> str:
    return "groups:\n" + "".join(f"  group {i}: [{i}]\n" for i in range(count))


def _one_list(count: int) -> str:
    return (
        f"drop: &all [{', '.join(map(str, range(count)))}]\n"
        + "groups:\n"
        + "".join(f"  g{i}: *all\n" for i in range(count))
    )


def run(fields: Input, folder: Path) -> None:
    path = folder / "labels.yaml"
    path.write_bytes(fields["data"])
    rules = read_groups(path)
    labels = read_labels(path, fields["first_id"])
    if labels is not None:
        names = (*labels.things.values(), *labels.stuff.values())
        assert all(isinstance(name, str) for name in names)
    if fields["first_id"]:
        whole = one_based_labels(91, given=labels)
    else:
        whole = zero_based_labels(80, 53 if labels is None else 3, given=labels)
    if rules is not None:
        groups = group_classes(rules, whole)
        assert groups.members([*groups.labels.things, *groups.labels.stuff]) == groups.new_ids.keys()


TARGET = Target(
    "labels",
    make,
    run,
    (ValueError, FileNotFoundError),
    known={
        "very many names": lambda: {"data": _many_names(60_000).encode(), "first_id": 1},
        "very many groups": lambda: {"data": _many_groups(9_000).encode(), "first_id": 0},
        "one list in many groups": lambda: {"data": _one_list(5_000).encode(), "first_id": 0},
        "merges": lambda: {"data": trees.with_merges(60).encode(), "first_id": 0},
    },
)
