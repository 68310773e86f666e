# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Interpreter of pickle programs that works on data alone and within limits.

A pickle can call any importable function, use keys whose hash takes forever, and expand a few bytes to
gigabytes. Here nothing is imported: a name maps to the caller's stand-in or is refused, keys are plain
values, and steps and bytes are counted.
"""

import pickle
import pickletools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from torch import Tensor

MAX_STEPS = 1_000_000  # a checkpoint of a thousand tensors with their optimizer takes 100 000
_MAX_INTEGER = 2**256  # the state of a random number generator has 2**128
_MAX_KEY_PARTS = 16

_PUSHING = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
))  # fmt: skip
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_PUTTING = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETTING = frozenset(("GET", "BINGET", "LONG_BINGET"))


class RefusedError(pickle.UnpicklingError):
    """The file is intact but asks for something that weights do not need."""


@dataclass(frozen=True, eq=False)
class Named:
    """Stand-in for a function or class that a pickle names; `make` is called in its place."""

    full_name: str
    make: Callable[..., Any]


class Inert:
    """Stand-in for an object that is not needed: accepts any arguments and state, and ignores them."""

    def __init__(self, *_: Any) -> None:
        pass

    def set_state(self, state: Any) -> None:
        """Set the object's state after its construction."""


class PickleMachine:
    """A single run of a pickle's program."""

    def __init__(
        self,
        names: Mapping[str, Callable[..., Any]],
        max_bytes: int,
        load_persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        """Prepare a run.

        names: module.name → callable used in its place.
        max_bytes: limit for all texts, bytes and tensors made by calls.
        load_persistent: resolves references to objects outside the pickle; None refuses them.
        """
        self._names = names
        self._bytes_left = max_bytes
        self._steps_left = MAX_STEPS
        self._load_persistent = load_persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, stream: BinaryIO) -> Any:
        """Return the content of the pickle at the stream's position and advance the stream past it.

        Raises RefusedError for anything that weights do not need, any exception for damaged data.
        """
        argument: Any
        for opcode, argument, _ in pickletools.genops(stream):
            self._step()
            if opcode.name in _PUSHING:
                self._stack.append(_checked(argument))
            elif opcode.name in _CONSTANTS:
                self._stack.append(_CONSTANTS[opcode.name])
            elif opcode.name in _GETTING:
                self._stack.append(self._memo[argument])
            elif opcode.name in _PUTTING:
                self._put(argument)
            elif opcode.name == "STOP":
                return self._stack.pop()
            elif opcode.name in _ACTIONS:
                _ACTIONS[opcode.name](self, argument)
            else:
                raise RefusedError(f"it uses {opcode.name}, which weights do not need")
        raise EOFError("the pickle has no end")

    def _step(self, count: int = 1) -> None:
        self._steps_left -= count
        if self._steps_left < 0:
            raise RefusedError(f"it takes more than {MAX_STEPS} steps to read")

    def _pop_marked(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _do_nothing(self, _: Any) -> None:
        pass

    def _mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _pop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _put(self, place: int) -> None:
        if place > MAX_STEPS:
            raise RefusedError(f"it asks for memory for {place} objects")
        self._memo[place] = self._stack[-1]

    def _push_tuple(self, count: int | None) -> None:
        items = self._pop_marked() if count is None else self._stack[len(self._stack) - count :]
        if count is not None:
            del self._stack[len(self._stack) - count :]
        self._stack.append(tuple(items))

    def _push_dict(self, _: Any) -> None:
        items = self._pop_marked()
        self._stack.append(dict(pairs(items[::2], items[1::2])))

    def _append(self, items: Sequence[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Inert):
            raise RefusedError(f"it appends to a {type(target).__name__}")

    def _set_items(self, items: Sequence[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            target.update(pairs(items[::2], items[1::2]))
        elif not isinstance(target, Inert):
            raise RefusedError(f"it sets entries of a {type(target).__name__}")

    def _add_items(self, _: Any) -> None:
        items = self._pop_marked()
        if not isinstance(self._stack[-1], set):
            raise RefusedError(f"it adds to a {type(self._stack[-1]).__name__}")
        self._stack[-1].update(map(checked_key, items))

    def _find(self, full_name: str) -> None:
        make = self._names.get(full_name)
        if make is None:
            raise RefusedError(f"it asks for {full_name}, which weights do not need")
        self._stack.append(Named(full_name, make))

    def _find_on_stack(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._find(f"{module:s}.{name:s}")

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Named) or not isinstance(arguments, tuple):
            raise RefusedError(f"it calls a {type(function).__name__}")
        result = function.make(*arguments)
        if isinstance(result, dict | list | set):  # possibly a copy of a large one
            self._step(len(result))
        self._count_bytes(result)
        self._stack.append(result)

    def _count_bytes(self, made: Any) -> None:
        if isinstance(made, str | bytes):
            self._bytes_left -= len(made)
        elif isinstance(getattr(made, "tensor", None), Tensor):
            self._bytes_left -= made.tensor.nbytes
        if self._bytes_left < 0:
            raise RefusedError("it makes more of its data than it holds")

    def _reduce(self, _: Any) -> None:
        arguments = self._stack.pop()
        self._call(self._stack.pop(), arguments)

    def _make_with_keywords(self, _: Any) -> None:
        self._stack.pop()  # no stand-in takes keyword arguments
        self._reduce(None)

    def _instantiate(self, name: str) -> None:
        arguments = tuple(self._pop_marked())
        self._find(name)
        self._call(self._stack.pop(), arguments)

    def _instantiate_marked(self, _: Any) -> None:
        function, *arguments = self._pop_marked()
        self._call(function, tuple(arguments))

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, Inert):
            target.set_state(state)
            self._count_bytes(target)
        elif not isinstance(target, dict):  # the attributes of an OrderedDict do not matter
            raise RefusedError(f"it sets the state of a {type(target).__name__}")

    def _push_persistent(self, _: Any) -> None:
        if self._load_persistent is None:
            raise RefusedError("it refers to objects outside of it")
        self._stack.append(self._load_persistent(self._stack.pop()))


def pairs(keys: Sequence[Any], values: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Pair keys with values. Raises RefusedError for a key that is not a plain value."""
    return [(checked_key(key), value) for key, value in zip(keys, values, strict=True)]


def checked_key(key: Any) -> Any:
    """Return a key whose hash is quick: a text, a number, or a short tuple of these.

    Raises RefusedError for any other: the hash of tuples that hold each other twice takes forever.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > _MAX_KEY_PARTS or not all(
        part is None or isinstance(part, str | int | float | bytes) for part in parts
    ):
        raise RefusedError(f"a {type(key).__name__} is the key of an entry")
    return key


def _checked(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise RefusedError("it has an integer of more than 256 bits")
    return value


_ACTIONS: Mapping[str, Callable[[PickleMachine, Any], None]] = {
    "PROTO": PickleMachine._do_nothing,
    "FRAME": PickleMachine._do_nothing,
    "MARK": PickleMachine._mark,
    "POP": PickleMachine._pop,
    "POP_MARK": lambda machine, _: machine._pop_marked().clear(),
    "DUP": lambda machine, _: machine._stack.append(machine._stack[-1]),
    "MEMOIZE": lambda machine, _: machine._put(len(machine._memo)),
    "TUPLE": PickleMachine._push_tuple,
    "TUPLE1": lambda machine, _: machine._push_tuple(1),
    "TUPLE2": lambda machine, _: machine._push_tuple(2),
    "TUPLE3": lambda machine, _: machine._push_tuple(3),
    "EMPTY_LIST": lambda machine, _: machine._stack.append([]),
    "LIST": lambda machine, _: machine._stack.append(machine._pop_marked()),
    "APPEND": lambda machine, _: machine._append([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._pop_marked()),
    "EMPTY_DICT": lambda machine, _: machine._stack.append({}),
    "DICT": PickleMachine._push_dict,
    "SETITEM": lambda machine, _: machine._set_items([machine._stack.pop(-2), machine._stack.pop()]),
    "SETITEMS": lambda machine, _: machine._set_items(machine._pop_marked()),
    "EMPTY_SET": lambda machine, _: machine._stack.append(set()),
    "ADDITEMS": PickleMachine._add_items,
    "FROZENSET": lambda machine, _: machine._stack.append(frozenset(map(checked_key, machine._pop_marked()))),
    "GLOBAL": lambda machine, argument: machine._find(".".join(argument.split(" ", 1))),
    "STACK_GLOBAL": PickleMachine._find_on_stack,
    "REDUCE": PickleMachine._reduce,
    "NEWOBJ": PickleMachine._reduce,
    "NEWOBJ_EX": PickleMachine._make_with_keywords,
    "INST": lambda machine, argument: machine._instantiate(".".join(argument.split(" ", 1))),
    "OBJ": PickleMachine._instantiate_marked,
    "BUILD": PickleMachine._build,
    "BINPERSID": PickleMachine._push_persistent,
}
