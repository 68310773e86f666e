# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Files of torch.save give the same tensors as torch.load; false claims of an archive are refused."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seg_node.models.files.checkpoint import read_checkpoint
from seg_node.models.files.torch_file import read_torch_file

NAME = "backbone.conv.weight"


def save_legacy(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def with_attribute(tensor: torch.Tensor) -> torch.Tensor:
    tensor.note = "trained"  # type: ignore[attr-defined]
    return tensor


BASE = torch.arange(24.0).reshape(4, 6)
TENSORS = {
    **{str(dtype): BASE.to(dtype) for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
        torch.int8, torch.uint8, torch.bool, torch.uint16, torch.float8_e4m3fn,
    )},
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 3),
    "transposed": BASE.t(),
    "every other": BASE[::2, 1::2],
    "tail of a storage": BASE[2:],
    "expanded": torch.ones(1).expand(3, 2),
    "parameter": nn.Parameter(BASE.clone()),
    "parameter with state": with_attribute(nn.Parameter(BASE.clone())),
    "tensor with state": with_attribute(BASE.clone()),
    "random state": torch.get_rng_state(),
}  # fmt: skip


# types without a storage type, which torch cannot read in its old format either
ONLY_NEW = ("torch.uint16", "torch.float8_e4m3fn")


@pytest.mark.parametrize(
    ("kind", "save"),
    [
        *((kind, torch.save) for kind in TENSORS),
        *((kind, save_legacy) for kind in TENSORS if kind not in ONLY_NEW),
    ],
)
def test_every_plain_tensor_is_what_torch_reads(
    kind: str, save: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    save({"x": TENSORS[kind], "again": TENSORS[kind]}, tmp_path / "w.pth")
    expected = torch.load(tmp_path / "w.pth", weights_only=True)["x"]
    read = read_torch_file(tmp_path / "w.pth")["x"]
    assert (read.dtype, read.shape) == (expected.dtype, expected.shape)
    assert read.double().equal(expected.detach().double())


def test_sizes_devices_and_types_beside_the_tensors_do_no_harm(tmp_path: Path) -> None:
    beside = {"size": torch.Size([1, 2]), "device": torch.device("cpu"), "dtype": torch.float16}
    torch.save({"x": BASE, **beside}, tmp_path / "w.pth")
    read = read_torch_file(tmp_path / "w.pth")
    assert read["x"].equal(BASE) and read["size"] == (1, 2) and read["device"] is None


def test_file_without_checksums_is_read_and_a_flipped_bit_is_found(tmp_path: Path) -> None:
    set_options = getattr(torch.serialization, "set_crc32_options", None)
    if set_options is None:
        pytest.skip("needs torch 2.6")
    set_options(False)
    try:
        torch.save({NAME: BASE}, tmp_path / "without.pth")
    finally:
        set_options(True)
    assert read_torch_file(tmp_path / "without.pth")[NAME].equal(BASE)
    torch.save({NAME: BASE}, tmp_path / "w.pth")
    data = bytearray((tmp_path / "w.pth").read_bytes())
    data[data.index(BASE.numpy().tobytes()) + 5] ^= 1
    (tmp_path / "w.pth").write_bytes(data)
    with pytest.raises(
        ValueError, match=r"w\.pth: not a plain PyTorch checkpoint \(Bad CRC-32.*; download it again"
    ):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta", "ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.zeros(2, 2).to_sparse(), "sparse tensor"),
        (lambda: torch.zeros(2, 2).to_sparse_csr(), "sparse tensor"),
        (lambda: torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.quint8), "quantised tensor"),
        (lambda: torch.empty(2, device="meta"), "meta .empty. tensor"),
        (lambda: torch.zeros(2, dtype=torch.complex64), "is torch.complex64"),
        (lambda: torch.zeros(2, dtype=torch.complex64).conj(), "conjugate or negative view"),
    ],
)
def test_tensors_of_other_kinds_are_refused_by_their_kind(
    make: Callable[[], torch.Tensor], message: str, tmp_path: Path
) -> None:
    torch.save({NAME: make()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=rf"w\.pth: .*{message}"):
        read_checkpoint(tmp_path / "w.pth")


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Write a checkpoint of 24 numbers with changed records; None removes a record."""
    torch.save({NAME: BASE}, path)
    with zipfile.ZipFile(path) as archive:
        records = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            changed = change(name, data)
            if changed is not None:
                archive.writestr(name, changed)
    return path


def in_program(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, data: data.replace(old, new) if name.endswith("data.pkl") else data


SIZE, STRIDE, COUNT = b"K\x04K\x06\x86", b"K\x06K\x01\x86", b"K\x18t"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_program(SIZE, b"K\x04K\x07\x86"), "beyond its 24 numbers"),
        (in_program(SIZE, b"\x8a\x05\x00\x00\x00\x00\x01\x8a\x05\x00\x00\x00\x00\x01\x86"), "beyond its 24"),
        (in_program(SIZE, b"J\xff\xff\xff\xffK\x06\x86"), "size, stride or offset is not possible"),
        (in_program(STRIDE, b"K\x06\x85"), "size, stride or offset is not possible"),
        (in_program(STRIDE, b"J\xff\xff\xff\xffK\x01\x86"), "size, stride or offset is not possible"),
        (in_program(STRIDE, b"\x8a\x06\x00\x00\x00\x00\x00\x01K\x01\x86"), "beyond its 24 numbers"),
        (in_program(COUNT, b"J\x00\x00\x00\x40t"), "a storage of 96 bytes for 1073741824 numbers"),
        (in_program(COUNT, b"J\xff\xff\xff\xfft"), "a storage of 96 bytes for -1 numbers"),
        (in_program(b"FloatStorage", b"EvilStorage"), "asks for torch.EvilStorage"),
        (lambda name, data: None if "data/0" in name else data, "its record w/data/0 is missing"),
        (lambda name, data: b"big" if "byteorder" in name else data, "big-endian"),
    ],
)
def test_what_a_file_claims_beyond_its_data_is_refused(
    change: Callable[[str, bytes], bytes | None], message: str, tmp_path: Path
) -> None:
    path = rewritten(tmp_path / "w.pth", change)
    with pytest.raises(ValueError, match=rf"w\.pth: not a plain PyTorch checkpoint \(.*{message}"):
        read_checkpoint(path)


def test_unchanged_records_are_read_from_any_archive(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "w.pth", lambda _, data: data)
    assert read_checkpoint(path).tensors[NAME].equal(BASE)
    path.write_bytes(path.read_bytes() + b"more behind it")  # torch never writes this
    assert read_checkpoint(path).tensors[NAME].equal(BASE)


def test_legacy_file_that_claims_more_than_it_holds_takes_no_memory(tmp_path: Path) -> None:
    save_legacy({NAME: BASE}, tmp_path / "w.pth")
    data = (tmp_path / "w.pth").read_bytes()
    assert data.count(COUNT[:2] + b"N") == 1
    (tmp_path / "w.pth").write_bytes(data.replace(COUNT[:2] + b"N", b"\x8a\x06\x00\x00\x00\x00\x00\x01N"))
    with pytest.raises(ValueError, match=r"w\.pth: is cut off or damaged"):
        read_checkpoint(tmp_path / "w.pth")


def test_many_names_of_one_small_tensor_do_not_stand_for_a_large_network(tmp_path: Path) -> None:
    torch.save({f"a.{i}": BASE for i in range(3)}, tmp_path / "few.pth")
    assert len(read_checkpoint(tmp_path / "few.pth").tensors) == 3
    large = torch.zeros(1000)
    torch.save({f"a.{i}": large for i in range(1000)}, tmp_path / "many.pth")
    with pytest.raises(ValueError, match=r"many\.pth: its tensors claim 4000000 bytes in a file of \d+"):
        read_checkpoint(tmp_path / "many.pth")
    torch.save({f"a.{i}": torch.tensor(1) for i in range(20_001)}, tmp_path / "names.pth")
    with pytest.raises(ValueError, match=r"holds 20001 tensors, expected 1 to 20000"):
        read_checkpoint(tmp_path / "names.pth")
