# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration files of other projects: YAML, and Python read as data, merged with their base files.

Nothing is ever executed. A file is refused if nothing in it, or not its model, can be read.
"""

import difflib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seg_node.models.files.python_config import follow_python, parse_python_config
from seg_node.untrusted.plain_data import MAX_YAML_BYTES, parse_yaml, read_text
from seg_node.untrusted.printable import listed

__all__ = ["did_you_mean", "parse_python_config", "read_config"]

logger = logging.getLogger(__name__)

_BASE_KEYS = ("_BASE_", "_base_")  # Detectron2's, mmdetection's: the files that a file builds on
_BASE_SUFFIXES = (".yaml", ".yml", ".json", ".py")
_MAX_FILES = 100  # including bases, each as often as it is named
_DELETE_KEY = "_delete_"  # mmdetection's: replace the base's settings instead of merging
_HEAD_BYTES = 1024  # read to recognise the format
_OLD_PICKLE = re.compile(rb"c[\w.]+\n\w+\n")
_DUMP_CFG = 'write it in the training\'s environment: open("config.yaml", "w").write(cfg.dump())'


def did_you_mean(key: str, known: Iterable[str], likeness: float = 0.85) -> str:
    """Return the end of a message about an unknown key: the known key it may be a misspelling of.

    likeness: the least similarity of the two names, from 0 to 1.
    """
    near = difflib.get_close_matches(key[:100], list(known), n=1, cutoff=likeness)
    return f"; did you mean {near[0]}?" if near else ""


def read_config(path: Path) -> dict[str, Any]:
    """Read the settings of a YAML or Python file, merged over those of its base files.

    Raises FileNotFoundError; ValueError, naming the file, if it is not a mapping of settings, has none, or
    its base cannot be read.
    """
    settings = _Reader().read(path, ())
    if not _has_values(settings):
        raise ValueError(f"{path}: has no settings; is it the right file?")
    return settings


class _Reader:
    """Reader of one configuration and its bases, with limits on their number and size."""

    def __init__(self) -> None:
        self._files_left = _MAX_FILES
        self._bytes_left = MAX_YAML_BYTES

    def read(self, path: Path, below: tuple[Path, ...]) -> dict[str, Any]:
        """Read a file and its bases. below: the chain of files that this one is the base of."""
        self._check_path(path, below)
        content = self._read_file(path, below)
        key = next((key for key in _BASE_KEYS if key in content), "")
        bases: Any = content.pop(key) if key else []
        merged: dict[str, Any] = {}
        for base in bases if isinstance(bases, list) else [bases]:
            merged = _merge(merged, self.read(_base_path(base, path), (*below, path)), path)
        return _merge(merged, content, path)

    def _check_path(self, path: Path, below: tuple[Path, ...]) -> None:
        self._files_left -= 1
        if self._files_left < 0:
            raise ValueError(f"{below[0]}: is based on more than {_MAX_FILES} files")
        if not path.is_file():
            wanted = f", the base of {below[-1]}" if below else ""
            raise FileNotFoundError(f"{path}: no such configuration file{wanted}")
        if path.resolve() in [file.resolve() for file in below]:
            raise ValueError(f"{below[-1]}: its base {path} is based on it in turn")
        if below and path.suffix not in _BASE_SUFFIXES:
            raise ValueError(f"{below[-1]}: its base {path} is none of {', '.join(_BASE_SUFFIXES)}")

    def _read_file(self, path: Path, below: tuple[Path, ...]) -> dict[str, Any]:
        kind = "Python" if path.suffix == ".py" else "YAML"
        _check_format(path, kind)
        text = read_text(path, self._bytes_left)
        self._bytes_left -= len(text)
        if kind == "Python":
            return self._follow(text, path, below)
        content = _parse(text, path)
        if not isinstance(content, dict):
            nothing = "; it has no settings" if content is None else ""
            raise ValueError(f"{path}: holds a {type(content).__name__}, expected keys with values{nothing}")
        settings: dict[str, Any] = _with_text_keys(content)
        return settings

    def _follow(self, text: str, path: Path, below: tuple[Path, ...]) -> dict[str, Any]:
        """Read a Python file and the files that it imports under `with read_base()`."""

        def read_base(module: str, level: int) -> dict[str, Any]:
            return self.read(_module_path(path, module, level), (*below, path))

        settings, skipped = follow_python(text, str(path), read_base)
        if skipped and not settings:
            raise ValueError(
                f"{path}: nothing in it could be read without running it ({listed(skipped)}); write the "
                "settings as plain values"
            )
        if skipped:
            logger.warning("%s: not plain data, skipped: %s", path, listed(skipped))
        return settings


def _check_format(path: Path, kind: str) -> None:
    """Refuse a file that is not text."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"\x80") or _OLD_PICKLE.match(head):
        raise ValueError(
            f"{path}: not a {kind} file but a pickle, which is not read as a configuration; if it is "
            f"Detectron2's, {_DUMP_CFG}; a checkpoint goes to weights"
        )
    if head.startswith(b"PK\x03\x04") or (head[8:9] == b"{" and b"\0" in head[:8]):
        raise ValueError(
            f"{path}: not a {kind} file but a checkpoint or another archive; are weights and config swapped?"
        )
    try:
        head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # else the last character is only cut off by the limit
        if error.start < len(head) - 3 or len(head) < _HEAD_BYTES:
            raise ValueError(f"{path}: not a {kind} file: it is not a text in UTF-8") from error


def _parse(text: str, path: Path) -> Any:
    try:
        return parse_yaml(text, str(path))
    except ValueError as error:
        if "CfgNode" in str(error):
            raise ValueError(
                f"{path}: is a CfgNode written by yaml.dump, with code of Python; {_DUMP_CFG}"
            ) from error
        if "python/" in str(error):
            raise ValueError(f"{error}: it contains Python objects; write plain values") from error
        raise


def _with_text_keys(content: Any) -> Any:
    """Convert keys that are numbers to text; no setting has such a key. The depth is checked before."""
    if isinstance(content, dict):
        return {str(key): _with_text_keys(value) for key, value in content.items()}
    return [_with_text_keys(item) for item in content] if isinstance(content, list) else content


def _has_values(content: Any) -> bool:
    """Whether the content is more than empty sections."""
    if isinstance(content, dict | list):
        return any(
            _has_values(value) for value in (content.values() if isinstance(content, dict) else content)
        )
    return content is not None


def _base_path(base: Any, path: Path) -> Path:
    if not isinstance(base, str) or ":" in base:  # a URL, or the name of a package
        raise ValueError(f"{path}: its base {base!r} is not a local file; download it and name it there")
    return path.parent / Path(base).expanduser()


def _module_path(path: Path, module: str, level: int) -> Path:
    """Return the file of a relative import; level 1 is the importing file's folder."""
    folder = path.parent
    for _ in range(level - 1):
        folder = folder / ".."
    return folder / f"{module.replace('.', '/')}.py"


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Merge `changes` into the base, key by key."""
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, Mapping):
            replaces = value.get(_DELETE_KEY, False) or key not in base
            if not replaces and not isinstance(base[key], Mapping):
                raise ValueError(f"{path}: {key}: its base has {base[key]!r} where it has further keys")
            value = _merge({} if replaces else base[key], value, path)
            value.pop(_DELETE_KEY, None)
        merged[key] = value
    return merged
