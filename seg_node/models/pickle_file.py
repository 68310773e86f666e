"""Pickled weights → tensors and plain containers, without running anything that the file asks for.

A pickle is a program: it may name any importable function and call it. Here the few names that arrays of
weights need lead to stand-ins that hold data, and every other name is refused.
"""

import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

_PLAIN_KINDS = "fiub"  # floats, integers, booleans: no objects, texts, records


class RefusedError(pickle.UnpicklingError):
    """The file is not damaged: it asks for what weights have no need of."""


class Inert:
    """Stands in for an object that is not needed: takes whatever it is given and does nothing with it.

    As it has `__setstate__`, a file cannot set attributes of the class itself either.
    """

    def __new__(cls, *_: Any) -> "Inert":
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _DType:
    """Stands in for numpy.dtype."""

    def __init__(self, code: str, *_: Any) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in _PLAIN_KINDS:
            raise RefusedError(f"an array of {self.dtype}, only plain numbers are read")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1].replace("|", "="))


class _NumpyArray(Inert):
    """Stands in for the class numpy.ndarray, which is named but never called."""


class _Array:
    """Stands in for numpy's `_reconstruct`, and for the array whose content then follows as its state."""

    def __init__(self, kind: Any = None, *_: Any) -> None:
        if not (isinstance(kind, type) and issubclass(kind, _NumpyArray)):
            raise RefusedError("an array of a class other than numpy.ndarray")
        self.tensor = torch.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran_order, data = state
        self.tensor = _tensor(data, dtype, shape, "F" if fortran_order else "C")


def _tensor(data: Any, dtype: _DType, shape: tuple[int, ...], order: Any) -> Tensor:
    """The array's own copy of the data, whose length must be that of the shape."""
    content = data.encode("latin1") if isinstance(data, str) else data  # str: bytes of Python 2
    array = np.frombuffer(content, dtype.dtype).reshape(shape, order=order)
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


class _FromBuffer(Inert):
    """Stands in for numpy's `_frombuffer`: an array in one step (pickle protocol 5)."""

    def __new__(cls, data: Any, dtype: _DType, shape: tuple[int, ...], order: str) -> Any:
        array = _Array(_NumpyArray)
        array.tensor = _tensor(data, dtype, shape, order)
        return array


class _Scalar(Inert):
    """Stands in for numpy's `scalar`: a number."""

    def __new__(cls, dtype: _DType, data: Any) -> Any:
        return _tensor(data, dtype, (), "C").item()


class _Encode(Inert):
    """Stands in for `_codecs.encode`, by which Python 3 writes bytes in old protocols."""

    def __new__(cls, text: str, encoding: str = "") -> Any:
        if encoding != "latin1":
            raise RefusedError(f"text in {encoding!r}")
        return text.encode("latin1")


class _NoBytes(Inert):
    """Stands in for `bytes`, by which those protocols write none at all."""

    def __new__(cls) -> Any:
        return b""


def _named(full_name: str, stand_in: type) -> type:
    """A subclass that goes by another's name: by it torch.load recognises what it may use."""
    module, _, name = full_name.rpartition(".")
    return type(name, (stand_in,), {"__module__": module, "__qualname__": name})


_NUMPY = {
    "multiarray._reconstruct": _Array,
    "multiarray.scalar": _Scalar,
    "numeric._frombuffer": _FromBuffer,
}
_STAND_INS = {
    "numpy.ndarray": _NumpyArray,
    "numpy.dtype": _DType,
    "_codecs.encode": _Encode,
    "builtins.bytes": _NoBytes,
    "__builtin__.bytes": _NoBytes,
    **{
        f"{package}.{name}": made
        for package in ("numpy.core", "numpy._core")
        for name, made in _NUMPY.items()
    },
}
# how mmengine logs the losses, in the checkpoints of mmdetection 3
_LOGGING = ("mmengine.logging.history_buffer.HistoryBuffer", "builtins.getattr", "__builtin__.getattr")
# the command line of a training, as torchvision's scripts keep it
_ARGUMENTS = ("argparse.Namespace",)

STAND_INS: Mapping[str, type] = {
    **{name: _named(name, stand_in) for name, stand_in in _STAND_INS.items()},
    **{name: _named(name, Inert) for name in (*_LOGGING, *_ARGUMENTS)},
}
_CONTAINERS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    **{
        f"{module}.{made.__name__}": made
        for module in ("builtins", "__builtin__")
        for made in (dict, list, set)
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        found = STAND_INS.get(full_name) or _CONTAINERS.get(full_name)
        if found is None:
            raise RefusedError(f"it asks for {full_name}, which weights have no need of")
        return found


def read_pickle(data: bytes) -> Any:
    """What a pickle holds, its numpy arrays as tensors; those of Python 2 too.

    Raises any exception for damaged data, RefusedError that names what else the file asks for.
    """
    for opcode, argument, _ in pickletools.genops(data):  # which finds truncated ones too
        if opcode.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(data):
            raise RefusedError(f"it asks for memory for {argument} objects")
    return without_stand_ins(_Unpickler(io.BytesIO(data), encoding="latin1").load())


def without_stand_ins(content: Any) -> Any:
    """The content of a pickle with tensors for the arrays and None for what was not needed."""
    return _plain(content, {})


def _plain(content: Any, done: dict[int, Any]) -> Any:
    """done: what objects, by their id, have become, for one may be in very many places."""
    if id(content) not in done:
        made = content
        if isinstance(content, _Array):
            made = content.tensor
        elif isinstance(content, dict):
            made = {key: _plain(value, done) for key, value in content.items()}
        elif isinstance(content, list | tuple):
            made = type(content)(_plain(value, done) for value in content)
        elif isinstance(content, Inert | _DType | type):
            made = None
        done[id(content)] = made
    return done[id(content)]
