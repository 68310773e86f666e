# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Texts of nested data that are small and stand for much, or for what a reader does not expect."""

import json
from random import Random
from typing import Any

import yaml

from fuzz import mutate

_TAGS = (
    "!!bool foo", "!!timestamp foo", "!!int foo", "!!float foo", "!!binary '***'", "!!omap [1]",
    "!!set [a]", "!!pairs [1]", "!!python/object/apply:os.system ['true']", "!!python/name:os.system",
    "!!python/tuple [1, 2]", "!foo bar", "2026-13-45", "0o9", "0b2", "190:20:30", "1:2:3:4:5", "&a *a",
    "*b", "? [1, 2]\n: 3", "{? {a: 1}: b}", "<<: 3", "<<: [1]", "\t- a", "%TAG ! foo", "---\n---\n",
    "\x00", "\ufeffa: 1", "a: b: c", "'", '"\\ud800"', "{1: a, 1.0: b, true: c, null: d}", "[" * 3000,
    "- " * 3000, "{a: " * 1000, "1" * 5000, ". " * 1000, "",
)  # fmt: skip


def yaml_text(tree: Any, random: Random) -> str:
    """The tree as YAML: changed, or with something odd in the place of one of its values, or a bomb."""
    match random.randrange(8):
        case 0:
            return str(yaml.safe_dump(tree))
        case 1 | 2 | 3:
            return str(yaml.dump(mutate.mutate_tree(tree, random)))
        case 4:
            return with_aliases(random.choice((3, 9, 30)), random.choice((2, 9)))
        case 5:
            return with_merges(random.choice((3, 12, 30, 60)))
        case 6:
            text = str(yaml.safe_dump(tree)).encode()
            return mutate.mutate_bytes(text, random).decode("utf-8", "replace")
    lines = str(yaml.safe_dump(tree)).splitlines()
    at = random.randrange(len(lines))
    key = lines[at].partition(":")[0]
    lines[at] = random.choice((f"{key}: {random.choice(_TAGS)}", random.choice(_TAGS)))
    return "\n".join(lines)


def with_aliases(levels: int, fan: int) -> str:
    """Lists of the lists before: fan ** levels values."""
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * fan)}]" for i in range(1, levels)]
    return "\n".join(["a0: &a0 [x]", *lines, f"things: *a{levels - 1}"])


def with_merges(levels: int) -> str:
    """Mappings merged with those before, twice each: 2 ** levels visits of a reader."""
    lines = [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, levels)]
    return "\n".join(["a0: &a0 {k: v}", *lines, f"things: *a{levels - 1}"])


def json_text(tree: Any, random: Random) -> str:
    """The tree as JSON: changed, damaged, nested without end."""
    match random.randrange(10):
        case 0:
            return json.dumps(tree)
        case 1:
            return mutate.mutate_bytes(json.dumps(tree).encode(), random).decode("utf-8", "replace")
        case 2 if random.random() < 0.2:
            return random.choice(("[" * 100_000, '{"images":' * 50_000, "1" * 10_000, "NaN", '"\\ud800"', ""))
    return json.dumps(mutate.mutate_tree(tree, random))
