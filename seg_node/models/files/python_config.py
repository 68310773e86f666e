# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Python configuration files → their settings, read as data and never run.

Plain assignments are supported, and the operations on dictionaries that mmdetection, mmengine and YOLACT
use: dict(…), Config({…}), X.copy({…}), X.update(…), X.key = …, `with read_base(): from .x import *`.
"""

import ast
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from seg_node.models.files.python_values import Evaluator, FunctionName, NotDataError
from seg_node.untrusted.plain_data import check_plain
from seg_node.untrusted.printable import listed

logger = logging.getLogger(__name__)

_CURE = (
    "write what it holds as plain values (for Detectron2's LazyConfig: a YAML with INPUT.FORMAT, "
    "MODEL.PIXEL_MEAN and the other keys of its configurations)"
)

# mmdetection's names of a base and of preprocessing and postprocessing: without them results are wrong
_DECISIVE = frozenset(("_base_", "_BASE_", "test_cfg", "test_pipeline", "img_norm_cfg"))
# functions through which a line can change any setting
_REACHING_ALL = frozenset(("exec", "eval", "globals", "locals", "vars", "setattr"))

# module of a base, such as base.solo, and the number of leading dots → its settings
ReadBase = Callable[[str, int], Mapping[str, Any]]


def parse_python_config(text: str, source: str, read_base: ReadBase | None = None) -> dict[str, Any]:
    """Read the top-level statements of a Python file, tuples as lists.

    Code that would have to be executed is skipped, with one warning that names it.
    source: names the text in messages. read_base: reads a file that mmengine's `with read_base():` names.
    Raises ValueError for a text that is not Python, or if code makes or changes the settings themselves.
    """
    settings, skipped = follow_python(text, source, read_base)
    if skipped:
        logger.warning("%s: not plain data, skipped: %s", source, listed(skipped))
    return settings


def follow_python(
    text: str, source: str, read_base: ReadBase | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Read like `parse_python_config`, and return the skipped code instead of a warning."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{source}: not a Python file: {error or 'nested too deep'}") from error
    reader = _Reader(source, read_base)
    for statement in statements:
        reader.read(statement)
    reader.check_model()
    check_plain(reader.values.names, source, "Python")
    return _as_settings(reader.values.names), reader.values.skipped


class _Reader:
    """Reader of the statements of one file."""

    def __init__(self, source: str, read_base: ReadBase | None) -> None:
        self.values = Evaluator(source)
        self._source = source
        self._read_base = read_base
        self._unknown: dict[str, int] = {}  # skipped name → line

    def read(self, statement: ast.stmt) -> None:
        """Read one statement. Raises ValueError if it changes settings by code."""
        try:
            self._read(statement)
        except (NotDataError, RecursionError):
            if any(isinstance(node, ast.Name) and node.id in _REACHING_ALL for node in ast.walk(statement)):
                raise self._code_changes(statement) from None
            self.values.skipped.append(f"line {statement.lineno}")

    def _read(self, statement: ast.stmt) -> None:
        line = statement.lineno
        match statement:
            case ast.Assign(targets=targets, value=value) if all(isinstance(t, ast.Name) for t in targets):
                for name in (target.id for target in targets if isinstance(target, ast.Name)):
                    self._assign(name, value, line)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._assign(name, value, line)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value) if name in self.values.names:
                self._assign(name, ast.BinOp(ast.Name(name), op, value), line)
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript() as target], value=value):
                self._set(target, value)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr="update")) as call):
                self._update(target, call)
            case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="read_base")))]):
                self._follow(statement.body)
            case ast.ImportFrom(module=module, names=names):
                self._check_import(statement)
                origin = "." * statement.level + (module or "")
                self.values.imported |= {alias.asname or alias.name: (origin, alias.name) for alias in names}
            case ast.Import(names=names):
                self.values.modules |= {(alias.asname or alias.name).partition(".")[0] for alias in names}
            case ast.ClassDef() | ast.FunctionDef() | ast.Pass():
                pass
            case ast.Expr(value=ast.Constant()):
                pass
            case _:
                self._check_unread(statement)
                raise NotDataError

    def _assign(self, name: str, value: ast.expr, line: int) -> None:
        try:
            self.values.names[name] = self.values.evaluate(value)
            self._unknown.pop(name, None)
        except (NotDataError, RecursionError):
            self.values.names.pop(name, None)
            self._unknown[name] = line
            self.values.skipped.append(f"{name} (line {line})")

    def _follow(self, body: Sequence[ast.stmt]) -> None:
        """Read the files imported under `with read_base()` and take over their names."""
        for statement in body:
            if not isinstance(statement, ast.ImportFrom) or not statement.level or self._read_base is None:
                raise ValueError(
                    f"{self._source}: its base in line {statement.lineno} is not a file beside it; copy it "
                    "there and name it as in: from .file import *"
                )
            base = self._read_base(statement.module or "", statement.level)
            for alias in statement.names:
                if alias.name == "*":
                    self.values.names.update(base)
                elif alias.name in base:
                    self.values.names[alias.asname or alias.name] = base[alias.name]
                else:
                    raise ValueError(
                        f"{self._source}: its base {statement.module} (line {statement.lineno}) has no "
                        f"{alias.name} that could be read"
                    )

    def _set(self, target: ast.Attribute | ast.Subscript, value: ast.expr) -> None:
        """Apply model.x.y = … or model["x"] = … to a known dictionary."""
        holder = self._changed(target.value)
        try:
            key: Any = (
                target.attr if isinstance(target, ast.Attribute) else self.values.evaluate(target.slice)
            )
            holder[key] = self.values.evaluate(value)
        except (LookupError, NotDataError, TypeError) as error:
            raise self._code_changes(target) from error

    def _update(self, target: ast.expr, call: ast.Call) -> None:
        """Apply X.update(…), which in mmengine also updates nested dictionaries."""
        holder = self._changed(target)
        try:
            changes = self.values.copied(call.args[0]) if call.args else {}
        except NotDataError as error:
            raise self._code_changes(target) from error
        if not isinstance(holder, dict) or len(call.args) > 1:
            raise self._code_changes(target)
        self._update_inside(holder, changes | self.values.keywords(call))

    def _update_inside(self, holder: dict[Any, Any], changes: Mapping[Any, Any]) -> None:
        self.values.spend(len(changes))
        for key, value in changes.items():
            if isinstance(value, dict) and isinstance(holder.get(key), dict):
                self._update_inside(holder[key], value)
            else:
                holder[key] = value

    def _changed(self, target: ast.expr) -> Any:
        """Return the value that a statement changes. Raises ValueError if it comes from code."""
        root = target
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        if isinstance(root, ast.Name) and root.id not in self.values.names:
            if root.id in self.values.imported:
                origin = f"from {self.values.imported[root.id][0]}"
            elif root.id in self._unknown:
                origin = f"from code in line {self._unknown[root.id]}"
            else:
                raise NotDataError
            raise ValueError(
                f"{self._source}: line {target.lineno} changes {root.id}, which comes {origin} and would "
                f"have to be run; {_CURE}"
            )
        return self.values.evaluate(target)

    def _check_unread(self, statement: ast.stmt) -> None:
        """Raise ValueError for a statement that may change settings already read: a loop, a method."""
        within: Iterator[ast.AST] = ast.walk(statement)
        match statement:
            case ast.Assert() | ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
                return
            case ast.Expr(value=ast.Call(func=ast.Attribute() as method)):
                within = ast.walk(method)
            case ast.Expr():  # a function can change its arguments, except texts and numbers
                within = (n for n in within if isinstance(n, ast.Name) and self._is_container(n.id))
        for node in within:
            if isinstance(node, ast.ImportFrom):
                self._check_import(node)
            if isinstance(node, ast.Name) and node.id in self.values.names:
                raise self._code_changes(statement)

    def _is_container(self, name: str) -> bool:
        return isinstance(self.values.names.get(name), dict | list)

    def _check_import(self, statement: ast.ImportFrom) -> None:
        """Raise ValueError if settings may come from another file that is not read."""
        module = "." * statement.level + (statement.module or "")
        if statement.names[0].name == "*" and module.partition(".")[0] not in sys.stdlib_module_names:
            raise ValueError(
                f"{self._source}: line {statement.lineno} imports all of {module}, which would have to be "
                "run; copy its settings here, or name it by _base_"
            )

    def _code_changes(self, node: ast.stmt | ast.expr) -> ValueError:
        return ValueError(
            f"{self._source}: line {node.lineno} changes settings by code that would have to be run; write "
            "the values that they have afterwards"
        )

    def check_model(self) -> None:
        """Raise ValueError if the model itself, its base, preprocessing or postprocessing was skipped."""
        if "model" in self._unknown:
            line = self._unknown["model"]
            raise ValueError(
                f"{self._source}: model (line {line}) is code that would have to be run; {_CURE}"
            )
        for name in _DECISIVE & self._unknown.keys():
            if self.values.names:
                raise ValueError(
                    f"{self._source}: {name} (line {self._unknown[name]}) is code that would have to be run; "
                    "write it as plain values"
                )


def _as_settings(value: Any) -> Any:
    """Drop functions and convert all keys to text. The depth is checked before."""
    if isinstance(value, dict):
        return {str(k): _as_settings(v) for k, v in value.items() if not isinstance(v, FunctionName)}
    return [_as_settings(item) for item in value] if isinstance(value, list) else value
