# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Python expressions → the plain data they stand for, evaluated without running code and within limits."""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_MAX_LENGTH = 10_000
_MAX_WORK = 1_000_000  # values made or copied
_MAX_INTEGER = 2**63
_MAX_EXPONENT = 64


class NotDataError(Exception):
    """An expression that would have to be executed."""


class FunctionName(str):
    """Placeholder for a function in a dictionary, of which only the key matters."""


class Evaluator:
    """Evaluator of expressions, with the names that one file has assigned so far.

    names: name → its value, tuples as lists. imported: name → module that it comes from, name in it.
    modules: names of whole modules. skipped: descriptions of skipped code.
    """

    def __init__(self, source: str) -> None:
        """Start without names. source: names the file in messages."""
        self.names: dict[str, Any] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        self.modules: set[str] = set()
        self.skipped: list[str] = []
        self._source = source
        self._work_left = _MAX_WORK

    def spend(self, work: int) -> None:
        """Count values made or copied. Raises ValueError beyond the limit."""
        self._work_left -= work
        if self._work_left < 0:
            raise ValueError(f"{self._source}: more than {_MAX_WORK} values are made on the way")

    def evaluate(self, node: ast.expr) -> Any:
        """Return the value of an expression. Raises NotDataError if it would have to be executed."""
        self.spend(1)
        match node:
            case ast.Constant(value=None | bool() | float() | str() as value):
                return value
            case ast.Constant(value=int() as value) if abs(value) <= _MAX_INTEGER:
                return value
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.evaluate(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                return dict(self._entries([key and self.evaluate(key) for key in keys], values))
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.Name(id=name) if name in self.imported:
                return self.imported[name][1]  # a class: mmengine's files write type=SOLOv2
            case ast.Attribute(value=inner, attr=name):
                return self._member(self.evaluate(inner), name)
            case ast.Subscript(value=inner, slice=key):
                return self._member(self.evaluate(inner), self.evaluate(key))
            case ast.Call():
                return self._call(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._compute(0, ast.Sub(), self.evaluate(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return self._compute(self.evaluate(left), op, self.evaluate(right))
            case ast.ListComp(
                elt=item, generators=[ast.comprehension(target=ast.Name(id=name), iter=over, ifs=[])]
            ):
                return self._comprehend(item, name, over)
        raise NotDataError

    def keywords(self, call: ast.Call) -> dict[Any, Any]:
        """Return the keyword arguments of a call such as dict(…), without those that are not data."""
        names = [keyword.arg for keyword in call.keywords]
        return dict(self._entries(names, [keyword.value for keyword in call.keywords]))

    def _entries(self, keys: Sequence[Any], values: Sequence[ast.expr]) -> Iterator[tuple[Any, Any]]:
        """Yield the entries of {…} or dict(…) that are data. A key None stands for **other."""
        if any(isinstance(key, list | dict) for key in keys):
            raise NotDataError
        for key, value in zip(keys, values, strict=True):
            try:
                if key is not None:
                    yield key, self.evaluate(value)
                else:
                    yield from self.copied(value).items()
            except NotDataError:
                self.skipped.append(f"{'**' if key is None else key} (line {value.lineno})")
                if isinstance(value, ast.Lambda | ast.Attribute):
                    yield key, FunctionName(key)

    def copied(self, node: ast.expr) -> dict[Any, Any]:
        """Return a copy of the dictionary that the expression evaluates to."""
        value = self.evaluate(node)
        if not isinstance(value, dict):
            raise NotDataError
        self.spend(len(value))
        return dict(value)

    def _member(self, holder: Any, key: Any) -> Any:
        try:
            value = holder[key]
        except (LookupError, TypeError) as error:
            raise NotDataError from error
        return str(value) if isinstance(value, FunctionName) else value

    def _call(self, call: ast.Call) -> Any:
        """Evaluate a call of one of the few functions that make plain data from plain data."""
        match call:
            case ast.Call(func=ast.Name(id="dict" | "Config" | "ConfigDict"), args=[] | [_]):
                return (self.copied(call.args[0]) if call.args else {}) | self.keywords(call)
            case ast.Call(func=ast.Attribute(value=holder, attr="copy"), args=[] | [_], keywords=[]):
                self._check_base(holder)
                return self.copied(holder) | (self.copied(call.args[0]) if call.args else {})
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
                result = _FUNCTIONS[name](*(self.evaluate(argument) for argument in arguments))
                self.spend(len(result) if isinstance(result, list) else 1)
                return result
        raise NotDataError

    def _check_base(self, holder: ast.expr) -> None:
        """Raise ValueError for the copy of an unknown name, whose settings would all be missing."""
        if isinstance(holder, ast.Name) and holder.id not in self.names and holder.id not in self.modules:
            raise ValueError(
                f"{self._source}: {holder.id} (line {holder.lineno}) is the base of other settings, but no "
                "plain values of it are in the file; write them there"
            )

    def _comprehend(self, item: ast.expr, name: str, over: ast.expr) -> list[Any]:
        values = self.evaluate(over)
        if not isinstance(values, list) or name in self.names:
            raise NotDataError
        made = []
        try:
            for value in values:
                self.names[name] = value
                made.append(self.evaluate(item))
        finally:
            self.names.pop(name, None)
        return made

    def _compute(self, left: Any, op: ast.operator, right: Any) -> Any:
        """Compute with numbers, lists or texts. Raises NotDataError if the result would be too large."""
        joined = _join(left, op, right)
        if joined is not None:
            self.spend(len(joined))
            return joined
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise NotDataError
        if isinstance(op, ast.Pow) and abs(right) > _MAX_EXPONENT:
            raise NotDataError
        try:
            result = _ARITHMETIC[type(op)](left, right)
        except ArithmeticError as error:
            raise NotDataError from error
        if isinstance(result, complex) or (isinstance(result, int) and abs(result) > _MAX_INTEGER):
            raise NotDataError
        return result


def _join(left: Any, op: ast.operator, right: Any) -> list[Any] | str | None:
    """Concatenate or repeat lists or texts; None for any other operation."""
    if not isinstance(left, list | str):
        return None
    if isinstance(op, ast.Add) and type(left) is type(right):
        length = len(left) + len(right)
    elif isinstance(op, ast.Mult) and isinstance(right, int):
        length = len(left) * right
    else:
        return None
    if length > _MAX_LENGTH:
        raise NotDataError
    joined: list[Any] | str = _ARITHMETIC[type(op)](left, right)
    return joined


def _range(*arguments: Any) -> list[int]:
    if not all(isinstance(argument, int) and abs(argument) <= _MAX_LENGTH for argument in arguments):
        raise NotDataError
    return list(range(*arguments))


def _length(value: Any) -> int:
    if not isinstance(value, list | dict | str):
        raise NotDataError
    return len(value)


def _list(items: Any = ()) -> list[Any]:
    if not isinstance(items, list | tuple):
        raise NotDataError
    return list(items)


def _number(kind: Callable[[Any], Any], value: Any) -> Any:
    if not isinstance(value, int | float):
        raise NotDataError
    return kind(value)


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the function to raise NotDataError for invalid arguments."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise NotDataError from error

    return call


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "range": _checked(_range),
    "len": _checked(_length),
    "list": _checked(_list),
    "tuple": _checked(_list),
    "int": _checked(lambda value: _number(int, value)),
    "float": _checked(lambda value: _number(float, value)),
}
