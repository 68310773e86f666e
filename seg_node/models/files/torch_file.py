# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Reader for files of torch.save, in the zip format and the legacy one, that runs nothing.

torch.load(weights_only=True) hangs on keys that hold each other, reads zip archives differently from
Python's zipfile, and advises users to run a file that it refuses. Here the archive has a single reader, and
its pickle program runs on data alone.
Source of the formats: torch `serialization.py: _save, _legacy_save`, `_utils.py: _rebuild_…`.
"""

import io
import math
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import torch
from torch import Tensor

from seg_node.models.files.diagnose_file import is_zip
from seg_node.models.files.pickle_file import STAND_INS, without_stand_ins
from seg_node.models.files.pickle_machine import Inert, Named, PickleMachine, RefusedError

LEGACY_HEAD = re.compile(rb"\x80.\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL)  # pickled magic number
_ROOM = 1 << 20
_MAX_SIDE = 2**62

_STORAGE_TYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128,
}  # fmt: skip
_DTYPES: Mapping[str, torch.dtype] = {
    **{f"torch.{name}Storage": dtype for name, dtype in _STORAGE_TYPES.items()},
    **{f"torch.cuda.{name}Storage": dtype for name, dtype in _STORAGE_TYPES.items()},
    "torch.storage.UntypedStorage": torch.uint8,
    "torch.UntypedStorage": torch.uint8,
    **{str(dtype): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)},
}


@dataclass(frozen=True)
class _Storage:
    """Numbers that tensors are views of. data: one dimension."""

    data: Tensor


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    """Stand-in for `_rebuild_tensor` and `_rebuild_tensor_v2`.

    Raises RefusedError for a view beyond its storage.
    """
    if len(rest) > 2 and rest[2]:  # metadata: the numbers are conjugates or negatives of the stored ones
        raise RefusedError("it has a tensor that is a conjugate or negative view")
    return _view(storage.data, offset, size, stride)


def _rebuild_tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, dtype: Any, *rest: Any
) -> Tensor:
    """Stand-in for `_rebuild_tensor_v3`, used by types without a storage type, such as uint16."""
    return _view(storage.data.view(_DTYPES[dtype.full_name]), offset, size, stride)


def _view(data: Tensor, offset: Any, size: Any, stride: Any) -> Tensor:
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(n) is int and 0 <= n < _MAX_SIDE for n in numbers):
        raise RefusedError("it has a tensor whose size, stride or offset is not possible")
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if (math.prod(size) > 0 and last >= len(data)) or math.prod(size) >= _MAX_SIDE:
        raise RefusedError(f"it has a tensor of shape {tuple(size)} beyond its {len(data)} numbers")
    return data.as_strided(size, stride, offset)


def _rebuild_parameter(data: Tensor, *_: Any) -> Tensor:
    return data


def _rebuild_from_type(function: Named, _: Any, arguments: tuple[Any, ...], *__: Any) -> Any:
    """Stand-in for `_rebuild_from_type_v2`: a tensor with attributes, such as a buffer."""
    return function.make(*arguments)


def _size(sides: Sequence[int] = ()) -> tuple[int, ...]:
    return tuple(sides)


def _refuse(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any) -> NoReturn:
        raise RefusedError(f"it has a {what} tensor; only plain ones are read")

    return refuse


_NAMES: Mapping[str, Callable[..., Any]] = {
    **STAND_INS,
    **dict.fromkeys(_DTYPES, Inert),
    **{f"torch.{name}Storage": Inert for name in ("QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4")},
    **dict.fromkeys(("torch.per_tensor_affine", "torch.per_channel_affine"), Inert),
    **dict.fromkeys(("torch.serialization._get_layout", "torch.device", "torch.Generator"), Inert),
    **dict.fromkeys(("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"), Inert),
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch._utils._rebuild_qtensor": _refuse("quantised"),
    "torch._utils._rebuild_sparse_tensor": _refuse("sparse"),
    "torch._utils._rebuild_sparse_csr_tensor": _refuse("sparse"),
    "torch._utils._rebuild_nested_tensor": _refuse("nested"),
    "torch._utils._rebuild_meta_tensor_no_storage": _refuse("meta (empty)"),
    "torch._utils._rebuild_wrapper_subclass": _refuse("wrapped"),
    "torch._utils._rebuild_device_tensor_from_numpy": _rebuild_parameter,
}


def read_torch_file(path: Path) -> Any:
    """Read a file of torch.save. Raises RefusedError, or any exception for a damaged file."""
    read = _read_zip if is_zip(path) else _read_legacy
    return without_stand_ins(read(path))


def _read_zip(path: Path) -> Any:
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        records = {entry.filename: entry for entry in archive.infolist()}
        claimed = sum(entry.file_size for entry in records.values())
        if claimed > size:  # torch.save does not compress
            raise ValueError(f"it claims to hold {claimed} bytes, more than the file")
        (program,) = [name for name in records if re.fullmatch(r"[^/]+/data\.pkl", name)]
        root = program.removesuffix("data.pkl")
        order = records.get(f"{root}byteorder")
        if order is not None and _read_record(archive, order) == b"big":
            raise RefusedError("it was written on a big-endian computer")
        storages: dict[str, bytearray] = {}

        def load_storage(identity: Any) -> _Storage:
            dtype, key, count = _read_identity(identity)
            if key not in storages:
                if f"{root}data/{key}" not in records:
                    raise ValueError(f"its record {root}data/{key} is missing")
                storages[key] = bytearray(_read_record(archive, records[f"{root}data/{key}"]))
            return _Storage(_as_numbers(storages[key], dtype, count))

        machine = PickleMachine(_NAMES, 3 * size + _ROOM, load_storage)
        return machine.run(io.BytesIO(_read_record(archive, records[program])))


def _read_record(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.CRC == 0:  # not computed: torch.serialization.set_crc32_options
        del entry.CRC
    return archive.read(entry)


def _read_legacy(path: Path) -> Any:
    data = path.read_bytes()
    stream = io.BytesIO(data)
    for _ in range(2):  # magic number and version of the format
        PickleMachine({}, _ROOM).run(stream)
    system = PickleMachine({}, _ROOM).run(stream)
    if system.get("little_endian") is False:
        raise RefusedError("it was written on a big-endian computer")
    storages: dict[str, bytearray] = {}
    free = len(data)

    def reserve(identity: Any) -> _Storage:
        """Reserve memory for a storage; its bytes follow after the program."""
        nonlocal free
        dtype, key, count = _read_identity(identity)
        if key not in storages:
            free -= count * dtype.itemsize
            if free < 0 or count < 0:
                raise ValueError("it claims to hold more bytes than the file")
            storages[key] = bytearray(count * dtype.itemsize)
        return _Storage(_as_numbers(storages[key], dtype, count))

    content = PickleMachine(_NAMES, 3 * len(data) + _ROOM, reserve).run(stream)
    keys = PickleMachine({}, _ROOM).run(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise RefusedError("the names of its storages are no list of texts")
    for key in keys:
        stream.seek(8, io.SEEK_CUR)  # the count of numbers, already known
        _fill(storages[key], stream)
    return content


def _fill(content: bytearray, stream: BinaryIO) -> None:
    if stream.readinto(content) < len(content):  # type: ignore[attr-defined]
        raise EOFError("it ends within a tensor")


def _read_identity(identity: Any) -> tuple[torch.dtype, str, int]:
    """Return type, key and count of numbers of ("storage", type, key, location, count[, view])."""
    kind, storage_type, key, _, count, *view = identity
    if kind != "storage" or not isinstance(key, str) or type(count) is not int or view not in ([], [None]):
        raise RefusedError("it refers to something outside of it that is no storage of tensors")
    if storage_type.full_name not in _DTYPES:
        raise RefusedError("it has a quantised tensor; only plain ones are read")
    return _DTYPES[storage_type.full_name], key, count


def _as_numbers(content: bytearray, dtype: torch.dtype, count: int) -> Tensor:
    if not 0 <= count * dtype.itemsize <= len(content):
        raise ValueError(f"a storage of {len(content)} bytes for {count} numbers of {dtype}")
    return torch.frombuffer(content, dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)
