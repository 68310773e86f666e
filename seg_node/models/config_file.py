"""Configuration files of other projects → plain settings. Nothing in a file is executed.

YAML, as Detectron2 writes it, and the Python files of mmdetection, of which only what is plain data is read.
"""

import ast
import difflib
import logging
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

logger = logging.getLogger(__name__)

_BASE_KEYS = ("_BASE_", "_base_")  # Detectron2's, mmdetection's: what a file changes
_MAX_VALUES = 100_000
_DELETE_KEY = "_delete_"  # mmdetection's: replace the base's settings instead of changing some


def did_you_mean(key: str, known: Iterable[str], likeness: float = 0.85) -> str:
    """The end of a message about an unknown key: what it may be a misspelling of.

    likeness: that two names need, from 0 to 1.
    """
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=likeness)
    return f"; did you mean {near[0]}?" if near else ""


class _YAMLLoader(yaml.SafeLoader):
    """Reads the tuples that Detectron2 dumps, as lists; other objects of Python stay refused."""


_YAMLLoader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node, deep=True)
)


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a YAML or Python file, over those of the files it names as its base.

    Raises FileNotFoundError; ValueError, naming the file, for one that is not a mapping of settings.
    """
    return _read_with_bases(path, ())


def _read_with_bases(path: Path, below: tuple[Path, ...]) -> dict[str, Any]:
    """below: the files whose base this is."""
    if not path.is_file():
        wanted = f", the base of {below[-1]}" if below else ""
        raise FileNotFoundError(f"{path}: no such configuration file{wanted}")
    if path.resolve() in [file.resolve() for file in below]:
        raise ValueError(f"{below[-1]}: its base {path} is based on it in turn")
    content = _read_file(path)
    bases: Any = next((content.pop(key) for key in _BASE_KEYS if key in content), [])
    merged: dict[str, Any] = {}
    for base in bases if isinstance(bases, list) else [bases]:
        merged = _merge(merged, _read_with_bases(_base_path(base, path), (*below, path)), path)
    return _merge(merged, content, path)


def _base_path(base: Any, path: Path) -> Path:
    if not isinstance(base, str) or ":" in base:  # a URL, or the name of a package
        raise ValueError(f"{path}: its base {base!r} is not a local file; download it and name it there")
    return path.parent / Path(base).expanduser()


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            return parse_python_config(text, str(path))
        content = yaml.load(text, _YAMLLoader)
        _check_size(content, str(path))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        kind = "Python" if path.suffix == ".py" else "YAML"
        raise ValueError(f"{path}: not a {kind} file: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected keys with values")
    return content


def _check_size(content: Any, source: str) -> None:
    """Because a few lines that refer to each other can stand for billions of values."""
    if sum(1 for _ in islice(_walk(content), _MAX_VALUES)) == _MAX_VALUES:
        raise ValueError(f"{source}: more than {_MAX_VALUES} values")


def _walk(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _walk(inner)


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The base with what `changes` says, key by key."""
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, Mapping):
            anew = value.get(_DELETE_KEY, False) or key not in base
            if not anew and not isinstance(base[key], Mapping):
                raise ValueError(f"{path}: {key}: its base has {base[key]!r} where it has further keys")
            value = _merge({} if anew else base[key], value, path)
            value.pop(_DELETE_KEY, None)
        merged[key] = value
    return merged


class _NotData(Exception):
    """An expression that would have to be executed."""


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_MAX_LENGTH = 10_000
_MAX_INTEGER = 2**63


def parse_python_config(text: str, source: str) -> dict[str, Any]:
    """What the assignments at the top of a Python file say, tuples as lists.

    Numbers, texts, lists and dictionaries of such, and names assigned before, are read; what would have to
    be executed is left out, with one warning that names it.
    source: names the text in messages.
    Raises ValueError for a text that is not Python.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{source}: not a Python file: {error}") from error
    names: dict[str, Any] = {}
    left_out: list[str] = []
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    names[name] = _evaluate(value, names, left_out)
                except (_NotData, RecursionError):
                    names.pop(name, None)
                    left_out.append(f"{name} (line {statement.lineno})")
            case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom():
                pass
            case _:
                left_out.append(f"line {statement.lineno}")
    if left_out:
        logger.warning("%s: not plain data, left out: %s", source, ", ".join(left_out))
    _check_size(names, source)
    return names


def _evaluate(node: ast.expr, names: Mapping[str, Any], left_out: list[str]) -> Any:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_evaluate(item, names, left_out) for item in items]
        case ast.Dict() | ast.Call(func=ast.Name(id="dict"), args=[]):
            return dict(_evaluate_items(node, names, left_out))
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=key)) if name in names:
            try:
                return names[name][key]
            except (LookupError, TypeError) as error:
                raise _NotData from error
        case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int(stop))]) if stop <= _MAX_LENGTH:
            return list(range(stop))  # mmdetection's device_ids
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _compute(0, ast.Sub(), _evaluate(operand, names, left_out))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _compute(_evaluate(left, names, left_out), op, _evaluate(right, names, left_out))
    raise _NotData


def _evaluate_items(
    node: ast.Dict | ast.Call, names: Mapping[str, Any], left_out: list[str]
) -> Iterator[tuple[Any, Any]]:
    """The entries of {…} or dict(…); those that are not data are left out."""
    keys: list[Any]
    if isinstance(node, ast.Dict):
        keys = [key and _evaluate(key, names, left_out) for key in node.keys]
        if any(isinstance(key, list | dict) for key in keys):
            raise _NotData
        values = node.values
    else:
        keys = [keyword.arg for keyword in node.keywords]
        values = [keyword.value for keyword in node.keywords]
    for key, value in zip(keys, values, strict=True):
        try:
            evaluated = _evaluate(value, names, left_out)
            if key is not None:
                yield key, evaluated
            elif isinstance(evaluated, dict):  # **other
                yield from evaluated.items()
        except _NotData:
            left_out.append(f"{key} (line {value.lineno})")


def _compute(left: Any, op: ast.operator, right: Any) -> Any:
    """Of two numbers, or two lists or texts joined; _NotData where the result would be unreasonably large."""
    both = (left, right)
    is_joined = all(isinstance(side, list) for side in both) or all(isinstance(side, str) for side in both)
    if is_joined and isinstance(op, ast.Add) and len(left) + len(right) <= _MAX_LENGTH:
        return left + right
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise _NotData
    try:
        result = _ARITHMETIC[type(op)](left, right)
    except ArithmeticError as error:
        raise _NotData from error
    if isinstance(result, int) and abs(result) > _MAX_INTEGER:
        raise _NotData
    return result
