"""Pickled weights → tensors and plain containers, without running anything that the file asks for.

The few names that arrays of weights need lead to stand-ins that hold data, and every other name is refused.
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

_TYPE_CODE = re.compile(r"[<>=|]?[?a-zA-Z]\d{0,3}")  # numpy's, of one number or text
_PLAIN_KINDS = "fiub"  # floats, integers, booleans: no objects, texts, records
_MAX_DEPTH = 100  # of containers in containers; of an optimizer's state: 5
_ROOM = 1 << 20


class _DType(Inert):
    """Stands in for numpy.dtype; of texts, dates and objects, which are no weights, without a type."""

    def __init__(self, code: Any, *_: Any) -> None:
        kind = np.dtype(code) if isinstance(code, str) and _TYPE_CODE.fullmatch(code) else None
        if kind is None or kind.kind == "V":
            raise RefusedError("an array of records, only plain numbers are read")
        self.dtype = kind if kind.kind in _PLAIN_KINDS else None

    def set_state(self, state: Any) -> None:
        if self.dtype is not None:
            self.dtype = self.dtype.newbyteorder(state[1].replace("|", "="))


class _Array(Inert):
    """Stands in for numpy's `_reconstruct`, and for the array whose content then follows as its state."""

    def __init__(self, kind: Any = None, *_: Any) -> None:
        if not isinstance(kind, Named) or kind.full_name != "numpy.ndarray":
            raise RefusedError("an array of a class other than numpy.ndarray")
        self.tensor: Tensor | None = torch.empty(0)

    def set_state(self, state: Any) -> None:
        _, shape, dtype, fortran_order, data = state
        self.tensor = _tensor(data, dtype, shape, "F" if fortran_order else "C")


def _tensor(data: Any, dtype: _DType, shape: Any, order: Any) -> Tensor | None:
    """The array's own copy of the data, whose length must be that of the shape; None for no numbers."""
    if dtype.dtype is None:
        return None
    if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise RefusedError("an array whose shape is not a row of numbers")
    content = data.encode("latin1") if isinstance(data, str) else data  # str: bytes of Python 2
    array = np.frombuffer(content, dtype.dtype).reshape(shape, order=order)
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


def _from_buffer(data: Any, dtype: _DType, shape: Any, order: Any) -> _Array:
    """numpy's `_frombuffer`: an array in one step (pickle protocol 5)."""
    array = _Array(Named("numpy.ndarray", _no_array))
    array.tensor = _tensor(data, dtype, shape, order)
    return array


def _scalar(dtype: _DType, data: Any) -> Any:
    """numpy's `scalar`: a number."""
    number = _tensor(data, dtype, (), "C")
    return None if number is None else number.item()


def _encode(text: str, encoding: str = "") -> bytes:
    """`_codecs.encode`, by which Python 3 writes bytes in old protocols."""
    if encoding != "latin1":
        raise RefusedError("text in another encoding than latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """`bytes`, by which those protocols write none at all."""
    return b""


def _no_array(*_: Any) -> Any:
    raise RefusedError("an array without content")


def _dict(*arguments: Any) -> dict[Any, Any]:
    """A dictionary of nothing, of another or of pairs, its last argument; a defaultdict has one before it."""
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
    """`copyreg._reconstructor`, by which old protocols make objects."""
    if not isinstance(kind, Named):
        raise RefusedError(f"an object of a {type(kind).__name__}")
    return kind.make()


def _of_each(modules: str, names: str, make: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    return {f"{module}.{name}": make for module in modules.split() for name in names.split()}


# what is named in a checkpoint → what stands for it
STAND_INS: Mapping[str, Callable[..., Any]] = {
    "numpy.ndarray": _no_array,
    "numpy.dtype": _DType,
    "_codecs.encode": _encode,
    **_of_each("numpy.core.multiarray numpy._core.multiarray", "_reconstruct", _Array),
    **_of_each("numpy.core.multiarray numpy._core.multiarray", "scalar", _scalar),
    **_of_each("numpy.core.numeric numpy._core.numeric", "_frombuffer", _from_buffer),
    **_of_each("builtins __builtin__", "bytes", _no_bytes),
    **_of_each("builtins __builtin__", "dict", _dict),
    **_of_each("builtins __builtin__", "list", _list),
    **_of_each("builtins __builtin__", "set", _set),
    **_of_each("collections", "OrderedDict defaultdict Counter", _dict),
    **_of_each("copyreg copy_reg", "_reconstructor", _reconstruct),
    **_of_each("builtins __builtin__", "object int long float str bool tuple", Inert),  # of a defaultdict
    **_of_each("builtins __builtin__", "frozenset complex range xrange slice Ellipsis", Inert),
    # how mmengine logs the losses, in the checkpoints of mmdetection 3
    "mmengine.logging.history_buffer.HistoryBuffer": Inert,
    **_of_each("builtins __builtin__", "getattr", Inert),
    # what training scripts keep beside the tensors: their command line, paths, dates, settings
    **_of_each("argparse", "Namespace", Inert),
    **_of_each("types", "SimpleNamespace", Inert),
    **_of_each(
        "pathlib pathlib._local",
        "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath",
        Inert,
    ),
    **_of_each("datetime", "datetime date time timedelta timezone", Inert),
    **_of_each("collections", "deque", Inert),
    **_of_each("uuid", "UUID", Inert),
    **_of_each("decimal fractions", "Decimal Fraction", Inert),
    **_of_each("yacs.config detectron2.config.config fvcore.common.config", "CfgNode", Inert),
    **_of_each("mmcv.utils.config mmengine.config.config", "Config ConfigDict", Inert),
    **_of_each("addict.addict easydict munch", "Dict EasyDict Munch", Inert),
    **_of_each("omegaconf.dictconfig omegaconf.listconfig", "DictConfig ListConfig", Inert),
    **_of_each("omegaconf.base", "ContainerMetadata Metadata", Inert),
    **_of_each(
        "omegaconf.nodes", "AnyNode IntegerNode FloatNode StringNode BooleanNode PathNode EnumNode", Inert
    ),
    **_of_each("typing", "Any", Inert),
}


def read_pickle(data: bytes) -> Any:
    """What a pickle holds, its numpy arrays as tensors; those of Python 2 too.

    Raises any exception for damaged data, RefusedError that names what else the file asks for.
    """
    machine = PickleMachine(STAND_INS, max_bytes=3 * len(data) + _ROOM)
    try:
        return without_stand_ins(machine.run(io.BytesIO(data)))
    except RefusedError:
        for _ in islice(pickletools.genops(data), MAX_STEPS):
            pass  # raises where the data end too early, which is the first thing to say
        raise


def without_stand_ins(content: Any) -> Any:
    """The content of a pickle with tensors for the arrays and None for what was not needed.

    Raises RefusedError for containers nested too deep.
    """
    return _plain(content, {}, 0)


def _plain(content: Any, done: dict[int, Any], depth: int) -> Any:
    """done: what objects, by their id, have become, for one may be in very many places."""
    if depth > _MAX_DEPTH:
        raise RefusedError(f"containers in containers, more than {_MAX_DEPTH} deep")
    if id(content) not in done:
        made = content
        if isinstance(content, _Array):
            made = content.tensor
        elif isinstance(content, dict):
            made = {key: _plain(value, done, depth + 1) for key, value in content.items()}
        elif isinstance(content, list | tuple):
            made = type(content)(_plain(value, done, depth + 1) for value in content)
        elif isinstance(content, Inert | Named):
            made = None
        done[id(content)] = made
    return done[id(content)]
