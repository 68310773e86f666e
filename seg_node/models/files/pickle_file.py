# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Pickled weights → tensors and plain containers, without running any code that the file names.

The few names that weights need map to stand-ins that hold data; every other name is refused.
"""

import io
import pickletools
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seg_node.models.files.pickle_machine import MAX_STEPS, Inert, Named, PickleMachine, RefusedError, pairs

_TYPE_CODE = re.compile(r"[<>=|]?[?a-zA-Z]\d{0,3}")  # numpy's code of a single number or text
_PLAIN_KINDS = "fiub"  # floats, integers, booleans: no objects, texts, records
_MAX_DEPTH = 100  # of nested containers; an optimizer's state has 5
_ROOM = 1 << 20


class _Settings(Inert):
    """Stand-in for a namespace of settings; becomes a mapping of its attributes."""

    def __init__(self, *_: Any) -> None:
        self.values: dict[Any, Any] = {}

    def set_state(self, state: Any) -> None:
        if isinstance(state, dict):
            self.values = state


class _DType(Inert):
    """Stand-in for numpy.dtype. Texts, dates and objects, which are no weights, have dtype None."""

    def __init__(self, code: Any, *_: Any) -> None:
        kind = np.dtype(code) if isinstance(code, str) and _TYPE_CODE.fullmatch(code) else None
        if kind is None or kind.kind == "V":
            raise RefusedError("an array of records, only plain numbers are read")
        self.dtype = kind if kind.kind in _PLAIN_KINDS else None

    def set_state(self, state: Any) -> None:
        if self.dtype is not None:
            self.dtype = self.dtype.newbyteorder(state[1].replace("|", "="))


class _Array(Inert):
    """Stand-in for numpy's `_reconstruct`, and for the array whose content then follows as its state."""

    def __init__(self, kind: Any = None, *_: Any) -> None:
        if not isinstance(kind, Named) or kind.full_name != "numpy.ndarray":
            raise RefusedError("an array of a class other than numpy.ndarray")
        self.tensor: Tensor | None = torch.empty(0)

    def set_state(self, state: Any) -> None:
        _, shape, dtype, fortran_order, data = state
        self.tensor = _tensor(data, dtype, shape, "F" if fortran_order else "C")


def _tensor(data: Any, dtype: _DType, shape: Any, order: Any) -> Tensor | None:
    """Copy the data, whose length must fit the shape, to a tensor; None if they are not numbers."""
    if dtype.dtype is None:
        return None
    if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise RefusedError("an array whose shape is not a row of numbers")
    content = data.encode("latin1") if isinstance(data, str) else data  # str: bytes of Python 2
    array = np.frombuffer(content, dtype.dtype).reshape(shape, order=order)
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


def _from_buffer(data: Any, dtype: _DType, shape: Any, order: Any) -> _Array:
    """Stand-in for numpy's `_frombuffer`: an array in one step (pickle protocol 5)."""
    array = _Array(Named("numpy.ndarray", _no_array))
    array.tensor = _tensor(data, dtype, shape, order)
    return array


def _scalar(dtype: _DType, data: Any) -> Any:
    """Stand-in for numpy's `scalar`: a number."""
    number = _tensor(data, dtype, (), "C")
    return None if number is None else number.item()


def _encode(text: str, encoding: str = "") -> bytes:
    """Stand-in for `_codecs.encode`, which Python 3 uses for bytes in old protocols."""
    if encoding != "latin1":
        raise RefusedError("text in another encoding than latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Stand-in for `bytes`, which old protocols use for empty bytes."""
    return b""


def _no_array(*_: Any) -> Any:
    raise RefusedError("an array without content")


def _dict(*arguments: Any) -> dict[Any, Any]:
    """Stand-in for dict and its subclasses: the last argument is the entries; a defaultdict has another."""
    items = arguments[-1] if arguments else ()
    if isinstance(items, dict):
        return dict(items)
    entries = [tuple(item) for item in items] if isinstance(items, list | tuple) else []
    return dict(pairs([key for key, _ in entries], [value for _, value in entries]))


def _list(items: Any = ()) -> list[Any]:
    return list(items) if isinstance(items, list | tuple | set) else []


def _set(items: Any = ()) -> set[Any]:
    entries = list(items) if isinstance(items, list | tuple | set) else []
    return {key for key, _ in pairs(entries, entries)}


def _reconstruct(kind: Any, *_: Any) -> Any:
    """Stand-in for `copyreg._reconstructor`, which old protocols use for objects."""
    if not isinstance(kind, Named):
        raise RefusedError(f"an object of a {type(kind).__name__}")
    return kind.make()


def _names(modules: str, names: str, make: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    return {f"{module}.{name}": make for module in modules.split() for name in names.split()}


# full name in a checkpoint → its stand-in
STAND_INS: Mapping[str, Callable[..., Any]] = {
    "numpy.ndarray": _no_array,
    "numpy.dtype": _DType,
    "_codecs.encode": _encode,
    **_names("numpy.core.multiarray numpy._core.multiarray", "_reconstruct", _Array),
    **_names("numpy.core.multiarray numpy._core.multiarray", "scalar", _scalar),
    **_names("numpy.core.numeric numpy._core.numeric", "_frombuffer", _from_buffer),
    **_names("builtins __builtin__", "bytes", _no_bytes),
    **_names("builtins __builtin__", "dict", _dict),
    **_names("builtins __builtin__", "list", _list),
    **_names("builtins __builtin__", "set", _set),
    **_names("collections", "OrderedDict defaultdict Counter", _dict),
    **_names("copyreg copy_reg", "_reconstructor", _reconstruct),
    **_names("builtins __builtin__", "object int long float str bool tuple", Inert),  # defaultdict's factory
    **_names("builtins __builtin__", "frozenset complex range xrange slice Ellipsis", Inert),
    # mmengine's log of the losses in checkpoints of mmdetection 3
    "mmengine.logging.history_buffer.HistoryBuffer": Inert,
    **_names("builtins __builtin__", "getattr", Inert),
    # stored by training scripts beside the tensors: command line, paths, dates, settings
    **_names("argparse", "Namespace", _Settings),
    **_names("types", "SimpleNamespace", _Settings),
    **_names(
        "pathlib pathlib._local",
        "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath",
        Inert,
    ),
    **_names("datetime", "datetime date time timedelta timezone", Inert),
    **_names("collections", "deque", Inert),
    **_names("uuid", "UUID", Inert),
    **_names("decimal fractions", "Decimal Fraction", Inert),
    **_names("yacs.config detectron2.config.config fvcore.common.config", "CfgNode", Inert),
    **_names("mmcv.utils.config mmengine.config.config", "Config ConfigDict", Inert),
    **_names("addict.addict easydict munch", "Dict EasyDict Munch", Inert),
    **_names("omegaconf.dictconfig omegaconf.listconfig", "DictConfig ListConfig", Inert),
    **_names("omegaconf.base", "ContainerMetadata Metadata", Inert),
    **_names(
        "omegaconf.nodes", "AnyNode IntegerNode FloatNode StringNode BooleanNode PathNode EnumNode", Inert
    ),
    **_names("typing", "Any", Inert),
}


def read_pickle(data: bytes) -> Any:
    """Read a pickle of Python 2 or 3, its numpy arrays as tensors.

    Raises any exception for damaged data, RefusedError that names anything else the file asks for.
    """
    machine = PickleMachine(STAND_INS, max_bytes=3 * len(data) + _ROOM)
    try:
        return without_stand_ins(machine.run(io.BytesIO(data)))
    except RefusedError:
        for _ in islice(pickletools.genops(data), MAX_STEPS):
            pass  # raises if the data end too early, the more useful message
        raise


def without_stand_ins(content: Any) -> Any:
    """Replace the stand-ins in a pickle's content by tensors, mappings, or None for objects without use.

    Raises RefusedError for containers nested too deep.
    """
    return _plain(content, {}, 0)


def _plain(content: Any, done: dict[int, Any], depth: int) -> Any:
    """Convert one value. done: results by id, since one object may occur in very many places."""
    if depth > _MAX_DEPTH:
        raise RefusedError(f"containers in containers, more than {_MAX_DEPTH} deep")
    if id(content) not in done:
        made = content
        if isinstance(content, _Array):
            made = content.tensor
        elif isinstance(content, _Settings):
            made = _plain(content.values, done, depth + 1)
        elif isinstance(content, dict):
            made = {key: _plain(value, done, depth + 1) for key, value in content.items()}
        elif isinstance(content, list | tuple):
            made = type(content)(_plain(value, done, depth + 1) for value in content)
        elif isinstance(content, Inert | Named):
            made = None
        done[id(content)] = made
    return done[id(content)]
