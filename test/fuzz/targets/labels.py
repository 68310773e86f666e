# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""File of class names → LabelSet (seg_node.labels)."""

from pathlib import Path
from random import Random

import yaml

from fuzz import trees
from fuzz.target import Input, Target
from seg_node.labels import one_based_labels, read_labels, zero_based_labels

_VALID = {"things": ["cup", "can", "box"], "stuff": ["table"]}
_BY_ID = {"things": {1: "cup", 2: "can", 5: "box"}, "stuff": {7: "table"}}


def make(random: Random) -> Input:
    if random.random() < 0.03:
        text = _many_names(random.choice((1000, 60_000)))
    else:
        text = trees.yaml_text(random.choice((_VALID, _BY_ID)), random)
    data = (
        text.encode("utf-8", "surrogatepass") if random.random() < 0.95 else text.encode("latin-1", "replace")
    )
    return {"data": data, "first_id": random.choice((0, 1))}


def _many_names(count: int) -> str:
    return str(yaml.safe_dump({"things": [f"class {i}" for i in range(count)]}))


def run(fields: Input, folder: Path) -> None:
    path = folder / "labels.yaml"
    path.write_bytes(fields["data"])
    labels = read_labels(path, fields["first_id"])
    assert all(isinstance(name, str) for names in (labels.things, labels.stuff) for name in names.values())
    if fields["first_id"]:
        one_based_labels(91, given=labels)
    else:
        zero_based_labels(80, 3, given=labels)


TARGET = Target(
    "labels",
    make,
    run,
    (ValueError, FileNotFoundError),
    known={
        "very many names": lambda: {"data": _many_names(60_000).encode(), "first_id": 1},
        "merges": lambda: {"data": trees.with_merges(60).encode(), "first_id": 0},
    },
)
