# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files of every kind, small and valid, and hostile ones."""

import io
import json
import pickle
import struct
import zipfile
import zlib
from functools import lru_cache
from random import Random
from typing import Any

import torch
from safetensors.torch import save

from fuzz import mutate
from fuzz.files import compressed_zeros

_EXECUTE = (
    b"cos\nsystem\n(S'true'\ntR.",
    b"cbuiltins\neval\n(S'print(1)'\ntR.",
    b"c__builtin__\ngetattr\n(c__builtin__\nlist\nS'append'\ntR.",
    b"csubprocess\nPopen\n((lS'true'\natR.",
    b"ctorch.hub\nload\n(S'a/b'\nS'c'\ntR.",
    b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\ntRS'a'\ntR.",
    b"cnumpy\ndtype\n(S'f4,f4'\ntR.",
    b"ccollections\nOrderedDict\n(tR}(S'__class__'\nI1\nsb.",
)
_CODES = (
    "f4",
    "f8",
    "i4",
    "O",
    "U3",
    "V8",
    "M8[ns]",
    "f4,f4",
    "c16",
    "a5",
    "1" * 5000 + "f4",
    "",
    "(2,3)f4",
    "S" * 99,
)


@lru_cache
def samples() -> dict[str, bytes]:
    """By suffix and kind: "pth zip", "pth legacy", "pkl", "safetensors"."""
    tensors = {
        "layer.weight": torch.arange(6.0).reshape(2, 3),
        "layer.bias": torch.zeros(3, dtype=torch.float16),
    }
    content = {"model": tensors, "epoch": 3, "meta": {"classes": ["cup", "can"], "lr": 0.1}}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return {
        "pth zip": _saved(content),
        "pth legacy": _saved(content, _use_new_zipfile_serialization=False),
        "pkl": pickle.dumps({"model": arrays, "__author__": "nobody"}, protocol=4),
        "safetensors": save(tensors, {"format": "pt"}),
    }


def _saved(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def broken(random: Random) -> tuple[str, bytes]:
    """(suffix, file)"""
    kind = random.choice(list(samples()))
    file = samples()[kind]
    suffix = f".{kind.partition(' ')[0]}"
    if random.random() < 0.25:
        return suffix, mutate.mutate_bytes(file, random)
    if kind == "pth zip":
        return suffix, _broken_zip(file, random)
    if kind == "safetensors":
        return suffix, _broken_safetensors(file, random)
    return ".pkl", hostile_pickle(random)


def hostile_pickle(random: Random) -> bytes:
    """A pickle that asks for code, for odd arrays, or holds containers that are costly to handle."""
    match random.randrange(5):
        case 0:
            return random.choice(_EXECUTE)
        case 1:
            return _odd_array(random)
        case 2:
            return _nested(random)
        case 3:
            return pickle.dumps(mutate.mutate_tree(_plain(), random), protocol=random.choice((2, 4)))
    return mutate.mutate_bytes(pickle.dumps(_plain(), protocol=2), random)


def _plain() -> dict[str, Any]:
    weights = {"a.weight": [1.0, 2.0], "a.bias": {"b": [0]}}
    return {"model": weights, "meta": {"CLASSES": ["cup"]}, "__author__": "x", "blobs": {}}


def nested_tuples(levels: int, as_key: bool) -> bytes:
    """A tuple of the tuple before, twice, and so on: 2 ** levels to hash or, as a value, to walk."""
    build = _doubled(levels)
    return b"(" + build + b"I1\nd." if as_key else b"(S'model'\n(S'a'\n" + build + b"dd."


def _doubled(levels: int) -> bytes:
    """Opcodes that leave the outermost tuple on the stack."""
    made = b"".join(b"(g%d\ng%d\ntp%d\n" % (i, i, i + 1) for i in range(levels))
    return b"((tp0\n" + made + b"1g%d\n" % levels  # all are popped, the last one is fetched again


def _nested(random: Random) -> bytes:
    """Such tuples as a key, a value, beside the model, or in a set."""
    levels = random.choice((2, 12, 30, 200))
    match random.randrange(4):
        case 0 | 1 as as_key:
            return nested_tuples(levels, bool(as_key))
        case 2:
            return b"(S'meta'\n" + _doubled(levels) + b"S'model'\n(dd."
    return b"c__builtin__\nset\n((l" + _doubled(levels) + b"atR."


def _odd_array(random: Random) -> bytes:
    """numpy's own way to pickle an array, with another type, shape, order or number of bytes."""
    shape = random.choice(((2, 3), (6,), (), (-1,), (1 << 40,), (1 << 20, 1 << 20), (0,), ("a",), 3, None))
    data = random.choice((bytes(24), b"", bytes(23), "x" * 24, 5, None))
    code = random.choice(_CODES)
    state = (
        random.choice((1, 0, "a")),
        shape,
        _Global("numpy", "dtype", (code, 0, 1)),
        random.choice((0, 1)),
        data,
    )
    module = random.choice(("numpy.core.multiarray", "numpy._core.multiarray"))
    kind = random.choice((_Global("numpy", "ndarray"), _Global("builtins", "list"), None))
    array = _Global(module, "_reconstruct", (kind, (0,), b"b"), state)
    return _dump({"model": {random.choice(("w", 1, None)): array}})


class _Global:
    """Something that a pickle names, calls with `arguments` and gives `state` to."""

    def __init__(self, module: str, name: str, arguments: Any = None, state: Any = None) -> None:
        self.module, self.name, self.arguments, self.state = module, name, arguments, state


def _dump(content: Any) -> bytes:
    """Protocol 2, of plain values and _Global."""
    return b"\x80\x02" + _opcodes(content) + b"."


def _opcodes(content: Any) -> bytes:
    if isinstance(content, dict):
        return b"}(" + b"".join(_opcodes(key) + _opcodes(value) for key, value in content.items()) + b"u"
    if isinstance(content, tuple):
        return b"(" + b"".join(map(_opcodes, content)) + b"t"
    if isinstance(content, _Global):
        code = f"c{content.module}\n{content.name}\n".encode()
        if content.arguments is not None:
            code += _opcodes(content.arguments) + b"R"
        return code if content.state is None else code + _opcodes(content.state) + b"b"
    packed = pickle.dumps(content, protocol=3)
    return packed[2:-1]


def _broken_zip(file: bytes, random: Random) -> bytes:
    """torch.save's archive with another program, missing, repeated, packed or lying members."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = random.randrange(len(members))
    name, content = members[at]
    match random.randrange(7):
        case 0:
            members[at] = name, mutate.mutate_bytes(content, random) if content else b"x"
        case 1:
            program = next(i for i, (name, _) in enumerate(members) if name.endswith("data.pkl"))
            members[program] = members[program][0], hostile_pickle(random)
        case 2:
            del members[at]
        case 3:
            members.append((random.choice((name, f"../{name}", "/outside", "a" * 60_000)), content))
        case 4:
            return two_directories(random.choice((1 << 20, 1500 << 20)))
        case 5:
            program = next(i for i, (name, _) in enumerate(members) if name.endswith("data.pkl"))
            members[program] = members[program][0], _odd_storage(members[program][1], random)
        case 6:
            return _zipped(members, zipfile.ZIP_DEFLATED)
    return _zipped(members, zipfile.ZIP_STORED)


def _odd_storage(program: bytes, random: Random) -> bytes:
    """Other numbers where the program says how a tensor lies in its storage."""
    numbers = [i for i in range(len(program) - 1) if program[i] == ord("K")]  # BININT1
    changed = bytearray(program)
    for at in random.sample(numbers, random.choice((1, 2))):
        number = random.choice((0, 1, 255, -1, 1 << 30, 1 << 40, 1 << 62))
        changed[at : at + 2] = pickle.dumps(number, protocol=2)[2:-1]
        return bytes(changed)
    return bytes(changed)


def _zipped(members: list[tuple[str, bytes]], compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def two_directories(size: int) -> bytes:
    """An archive with one directory for Python and another for PyTorch, of `size` bytes 0 in few.

    PyTorch takes the offset that the end record gives. Python takes the directory that lies right before the
    end record, and moves all offsets accordingly.
    """
    program = pickle.dumps({})
    version = (b"archive/version", b"3\n", zlib.crc32(b"3\n"), 2, 0)
    bomb = (b"archive/data.pkl", compressed_zeros(size)[2:-4], 0, size, 8)
    harmless = (b"archive/data.pkl", program, zlib.crc32(program), len(program), 0)
    hidden, hidden_directory = _entries([version, bomb], 0)
    shown, _ = _entries([version, harmless], 0)
    moved = len(hidden_directory) + len(shown)  # by Python
    _, shown_directory = _entries([version, harmless], len(hidden) + len(hidden_directory) - moved)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(hidden_directory), len(hidden), 0)
    return hidden + hidden_directory + shown + shown_directory + end


_Member = tuple[bytes, bytes, int, int, int]  # name, packed content, checksum, size, method


def _entries(members: list[_Member], at: int) -> tuple[bytes, bytes]:
    """(members with their headers, directory that says that they begin at byte `at`)"""
    local = directory = b""
    for member in members:
        directory += _directory_entry(*member, at + len(local))
        local += _local_entry(*member)
    return local, directory


def _local_entry(name: bytes, packed: bytes, checksum: int, size: int, method: int) -> bytes:
    header = (0x04034B50, 20, 0, method, 0, 33, checksum, len(packed), size, len(name), 0)
    return struct.pack("<IHHHHHIIIHH", *header) + name + packed


def _directory_entry(name: bytes, packed: bytes, checksum: int, size: int, method: int, at: int) -> bytes:
    header = (0x02014B50, 20, 20, 0, method, 0, 33, checksum, len(packed), size, len(name), 0, 0, 0, 0, 0, at)
    return struct.pack("<IHHHHHHIIIHHHHHII", *header) + name


def _broken_safetensors(file: bytes, random: Random) -> bytes:
    """Another header: changed, of another claimed length, with overlapping or huge tensors."""
    (length,) = struct.unpack_from("<Q", file)
    header = json.loads(file[8 : 8 + length])
    if random.random() < 0.5:
        entry = header[random.choice([name for name in header if name != "__metadata__"])]
        entry["shape"] = random.choice(([1 << 40, 1 << 40], [0], [], [6, -1], [1 << 62], [1.5], "a"))
        entry["data_offsets"] = random.choice((entry["data_offsets"], [0, 1 << 60], [5, 2], [0, 0]))
    else:
        header = mutate.mutate_tree(header, random)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    claimed = random.choice((len(text), len(text), len(text), 0, 1 << 40, (1 << 64) - 1, len(text) + 10**6))
    return struct.pack("<Q", claimed) + text + file[8 + length :]
