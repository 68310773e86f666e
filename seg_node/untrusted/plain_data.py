# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read untrusted YAML and JSON as plain data (numbers, strings, lists, dicts) in bounded time and memory."""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

import yaml

from seg_node.untrusted.printable import printable

MAX_YAML_BYTES = 256 * 1024  # at worst 5 s in PyYAML; a dumped configuration has 20 KB
MAX_JSON_BYTES = 8 * 1024 * 1024
_MAX_VALUES = 100_000
_MAX_DEPTH = 100
_MAX_INTEGER = 2**63
_MAX_INTEGER_LENGTH = 40  # characters
_NOT_PLAIN = ("timestamp", "binary", "set", "omap", "pairs")
_TAG = "tag:yaml.org,2002:"


def read_text(path: Path, max_bytes: int) -> str:
    """Read a UTF-8 text file, without the byte order mark that Windows adds.

    Raises ValueError for a file that is larger than max_bytes or not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"{path}: larger than {max_bytes} bytes; is it the file that is meant?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text in UTF-8 ({error.reason} at byte {error.start})") from error


def parse_yaml(text: str, source: str, *, unique_keys: bool = False) -> Any:
    """Parse a YAML text; dates and sexagesimals stay strings, Python tuples become lists.

    source: names the text in errors. unique_keys: whether a key that is repeated in its mapping is refused;
    else its last value counts. Raises ValueError if it is not YAML, or not plain data.
    """
    try:
        content = yaml.load(text, _UniqueLoader if unique_keys else _Loader)
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ValueError(f"{source}: not a YAML file: {error.problem or error.context}{line}") from error
    except yaml.reader.ReaderError as error:
        character = f"the character {error.character!r} at {error.position} is not allowed"
        raise ValueError(f"{source}: not a YAML file: {character}") from error
    except RecursionError as error:
        raise ValueError(f"{source}: not a YAML file: nested too deep") from error
    except Exception as error:  # constructors raise any type, such as KeyError for !!bool foo
        raise ValueError(f"{source}: not a YAML file: a value is not of its type ({error!r})") from error
    check_plain(content, source, "YAML")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file with an object. Raises FileNotFoundError; ValueError for any other content."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    text = read_text(path, MAX_JSON_BYTES)
    try:
        content = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected keys with values")
    check_plain(content, str(path), "JSON")
    return content


def check_plain(content: Any, source: str, kind: str) -> None:
    """Raise ValueError for data that are not plain, or that expand to very many values (YAML aliases)."""
    waiting, count = [(content, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > _MAX_VALUES:
            raise ValueError(f"{source}: more than {_MAX_VALUES} values")
        if depth > _MAX_DEPTH:
            raise ValueError(f"{source}: not a {kind} file of settings: nested more than {_MAX_DEPTH} deep")
        if isinstance(value, dict):
            for key in value:
                if type(key) not in (str, int):
                    raise ValueError(f"{source}: the key {key!r} is not a string; write it in quotes")
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            waiting.extend((inner, depth + 1) for inner in value)
        elif isinstance(value, int) and abs(value) >= _MAX_INTEGER:
            raise ValueError(f"{source}: has an integer of more than 63 bits")
        elif value is not None and not isinstance(value, bool | int | float | str):
            raise ValueError(f"{source}: holds a {type(value).__name__}, which is not plain data")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text[:20]} is too large a number")
    return float(text)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, restricted to plain data and bounded time.

    Not the C loader, which crashes on a text of many brackets.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._flattened: set[int] = set()
        self._merged = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node; refuse deep nesting here, because the recursion limit depends on the caller."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, f"nested more than {_MAX_DEPTH} deep", mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge the mappings under `<<`, each once and a bounded number of values: merges may be nested."""
        if id(node) in self._flattened:
            return
        self._flattened.add(id(node))
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for part in parts:
                    if isinstance(part, yaml.MappingNode):
                        self.flatten_mapping(part)
                        self._merged += len(part.value)
                    if self._merged > _MAX_VALUES:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"more than {_MAX_VALUES} values are merged by <<", node.start_mark
                        )
        super().flatten_mapping(node)


class _UniqueLoader(_Loader):
    """Refuse a key that is repeated in its mapping."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Compare the keys before merging: a mapping may replace what it merges."""
        if id(node) in self._flattened:
            return
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
                continue
            if (key.tag, key.value) in seen:
                name = printable(key.value)
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name} is in one mapping twice", key.start_mark
                )
            seen.add((key.tag, key.value))
        super().flatten_mapping(node)


def _refuse_tag(loader: _Loader, node: yaml.Node) -> NoReturn:
    raise yaml.constructor.ConstructorError(
        None, None, f"{node.tag.removeprefix(_TAG)} is not plain data", node.start_mark
    )


def _construct_integer(loader: _Loader, node: yaml.ScalarNode) -> int | str:
    text = loader.construct_scalar(node)
    if ":" in text:  # YAML 1.1 reads 1:30 as 90
        return str(text)
    if len(text) > _MAX_INTEGER_LENGTH:
        raise yaml.constructor.ConstructorError(
            None, None, f"an integer of {len(text)} characters", node.start_mark
        )
    number: int = loader.construct_yaml_int(node)
    return number


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float | str:
    text = loader.construct_scalar(node)
    number: float | str = str(text) if ":" in text else loader.construct_yaml_float(node)
    return number


_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is not None and tag.removeprefix(_TAG) not in _NOT_PLAIN
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor(None, _refuse_tag)
_Loader.add_constructor(f"{_TAG}int", _construct_integer)
_Loader.add_constructor(f"{_TAG}float", _construct_float)
_Loader.add_constructor(
    f"{_TAG}python/tuple", lambda loader, node: loader.construct_sequence(node, deep=True)
)
