# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Odd values, and valid data changed in a few places. Everything is drawn from the given random source."""

import copy
from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

INTEGERS = (
    0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 257, 1000, 4095, 4096, 32767,
    32768, 65535, 65536, 1 << 20, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
)  # fmt: skip
WIDE_INTEGERS = (*INTEGERS, -1, -2, -128, -(1 << 31), 1 << 32, (1 << 63) - 1, -(1 << 63), 1 << 64, 10**30)
FLOATS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-45, 1e-38, 1e-9, 1e9, 3.4e38, 1e39, 1e308, -1e308, float("inf"),
    float("-inf"), float("nan"),
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "a\nb", "\x1b[31mred", "..", "../../outside", "/outside", "~", "%s%n", "{0}", "-",
    "null", "nan", "1e999", "ä€😀", "\ud800", "x" * 300, "x" * 70_000, "a/b", "C:\\a", "*", "$HOME",
)  # fmt: skip


def integer(random: Random) -> int:
    """An unsigned 32-bit number, most often a special one."""
    return random.choice(INTEGERS) if random.random() < 0.8 else random.randrange(1 << 32)


def real(random: Random) -> float:
    return random.choice(FLOATS) if random.random() < 0.8 else random.uniform(-1e4, 1e4)


def value(random: Random) -> Any:
    """Anything that JSON or YAML can hold."""
    made: list[Any] = [
        None,
        True,
        False,
        random.choice(WIDE_INTEGERS),
        real(random),
        random.choice(TEXTS),
        [],
        {},
        [random.choice(WIDE_INTEGERS)],
        [[], {}],
        {"id": 1},
        [real(random)] * random.choice((1, 4, 5, 1000)),
    ]
    return random.choice(made)


def mutate_bytes(data: bytes, random: Random, most: int = 6) -> bytes:
    """The data with one to `most` changes: bits, bytes, numbers, parts removed, repeated, moved, cut off."""
    changed = bytearray(data)
    for _ in range(random.randint(1, most)):
        _change_bytes(changed, random)
    return bytes(changed)


def _change_bytes(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data)) if data else 0
    length = min(random.choice((1, 2, 4, 8, 16, 64, 300)), len(data) - at)
    match random.randrange(8):
        case 0 if data:
            data[at] ^= 1 << random.randrange(8)
        case 1 if data:
            data[at] = random.randrange(256)
        case 2:
            size = random.choice((1, 2, 4, 8))
            number = random.choice(WIDE_INTEGERS) % (1 << 8 * size)
            data[at : at + size] = number.to_bytes(size, random.choice(("little", "big")))
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = random.randbytes(length or 1)
        case 5:
            data[at:at] = data[at : at + length] * random.choice((1, 2, 50))
        case 6:
            place = random.randrange(len(data) + 1)
            part = data[at : at + length]
            data[place : place + len(part)] = part
        case 7 if random.random() < 0.3:
            del data[at:]


def mutate_tree(tree: T, random: Random, most: int = 3) -> T:
    """A copy of nested lists and dictionaries with one to `most` changes."""
    changed = copy.deepcopy(tree)
    for _ in range(random.randint(1, most)):
        places = list(_places(changed))
        if not places:
            return changed
        container, key = random.choice(places)
        _change_place(container, key, random)
    return changed


def _places(node: Any) -> "list[tuple[Any, Any]]":
    """Every (container, key) below the node."""
    keys: Sequence[Any] = (
        list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    )
    places = [(node, key) for key in keys]
    for key in keys:
        places += _places(node[key])
    return places


def _change_place(container: Any, key: Any, random: Random) -> None:
    old = container[key]
    match random.randrange(8):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[random.choice((*TEXTS[:6], "id", "name", 1, None))] = container.pop(key)
        case 2 if isinstance(old, list):
            container[key] = old * random.choice((0, 2, 20))
        case 3:
            container[key] = random.choice(([old], {"a": old}, str(old)))
        case 4 if isinstance(old, int | float) and not isinstance(old, bool):
            container[key] = random.choice((-old, old * 1000, old + 0.5, float(old), real(random)))
        case 5 if isinstance(container, list):
            container.append(copy.deepcopy(old))
        case _:
            container[key] = value(random)
