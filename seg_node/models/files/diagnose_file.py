# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Diagnosis of a weights file that no reader accepts, from its first bytes and its size."""

import re
import tarfile
import zipfile
from collections.abc import Collection
from pathlib import Path

_HEAD_BYTES = 1024
_AGAIN = "download it again"
_UNPACK = "unpack it first, then give the weights file in it"
# (magic bytes, their offset, description and cure)
_FORMATS = (
    (b"\x1f\x8b", 0, f"is compressed by gzip (.gz, .tgz), not weights; {_UNPACK}"),
    (b"BZh", 0, f"is compressed by bzip2, not weights; {_UNPACK}"),
    (b"\xfd7zXZ\0", 0, f"is compressed by xz, not weights; {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", 0, f"is compressed by zstd, not weights; {_UNPACK}"),
    (b"\x04\x22\x4d\x18", 0, f"is compressed by lz4, not weights; {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", 0, f"is a 7z archive, not weights; {_UNPACK}"),
    (b"Rar!\x1a\x07", 0, f"is a rar archive, not weights; {_UNPACK}"),
    (
        b"\x89HDF\r\n\x1a\n",
        0,
        "holds weights of Keras (HDF5), which are not read; known: PyTorch, safetensors",
    ),
    (b"\x93NUMPY", 0, "is one array of numpy (.npy), not weights with names; known: PyTorch, safetensors"),
    (b"MATLAB ", 0, "is a file of MATLAB, which is not read; known: PyTorch, safetensors"),
    (b"ftrt", 0, "is an engine of TensorRT, which is not read; give the checkpoint that it was made from"),
    # version, then the first graph; ONNX files since 2017 have a later version
    (b"\x08\x01\x12", 0, "is a SavedModel of TensorFlow, which is not read; known: PyTorch, safetensors"),
    (b"GGUF", 0, "is a GGUF file, which is not read; known: PyTorch, safetensors"),
    (b"TFL3", 4, "is a TensorFlow Lite model, which is not read; known: PyTorch, safetensors"),
)
_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]")  # version, then a field of the model
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_OPENVINO = re.compile(r"\s*(<\?xml[^>]*>\s*)?<net ")
_WEB_PAGE = re.compile(r"\s*(<!doctype html|<html|<head|<\?xml)", re.IGNORECASE)


def is_zip(path: Path) -> bool:
    """Whether the file is a complete zip archive without leading data, which zipfile alone would accept."""
    with path.open("rb") as file:
        return file.read(2) == b"PK" and zipfile.is_zipfile(path)


def is_onnx(path: Path) -> bool:
    """Whether the file begins as an ONNX model does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _ONNX.match(file.read(_HEAD_BYTES)) is not None


def describe_other_format(path: Path) -> str | None:
    """Describe a file whose format is certainly not weights, and the cure; None for any other."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for magic, offset, description in _FORMATS:
        if head.startswith(magic, offset):
            return description
    if head[257:262] == b"ustar":
        return _describe_tar(path)
    if _ONNX.match(head):
        return (
            "is an ONNX model, which cannot be read as weights; give the checkpoint that it was made from "
            "(a file of seg_node export goes to engine)"
        )
    if is_zip(path):
        return _describe_zip(path)
    return _cut_off(path) if head.startswith(b"PK\x03\x04") else None


def _describe_tar(path: Path) -> str:
    try:
        with tarfile.open(path, "r:") as archive:
            first = archive.next()
    except tarfile.TarError:
        first = None
    if first is not None and first.name in ("sys_info", "pickle", "tensors", "storages"):
        return "is of PyTorch before 0.1.10; load it there, or in PyTorch 1, and save it anew with torch.save"
    return f"is a tar archive, not weights; {_UNPACK}"


def _describe_zip(path: Path) -> str | None:
    """Describe a zip archive; None for one written by torch.save."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if _has(names, "constants.pkl") and _has(names, "data.pkl"):
        return (
            "is a TorchScript program, not weights; in the training's environment: "
            "torch.save(torch.jit.load(FILE).state_dict(), NEW)"
        )
    if _has(names, "archive_format") or any(name.endswith("extra/seg_node.json") for name in names):
        return "is a compiled PyTorch program (.pt2), not weights; a file of seg_node export goes to engine"
    if _has(names, "data.pkl"):
        return None
    if "model.weights.h5" in names:
        return "holds weights of Keras, which are not read; known: PyTorch, safetensors"
    if names and all(name.endswith(".npy") for name in names):
        return "holds arrays of numpy (.npz), which are not read; known: PyTorch, safetensors"
    some = ", ".join(name[:60] for name in names[:3]) + (", …" if len(names) > 3 else "")
    return f"not a plain PyTorch checkpoint, but a zip archive ({some or 'of nothing'}); {_UNPACK}"


def _has(names: Collection[str], record: str) -> bool:
    """Whether a PyTorch archive, whose records lie in a single folder, has that record."""
    return any(name.count("/") == 1 and name.endswith(f"/{record}") for name in names)


def describe_damage(path: Path) -> str | None:
    """Describe an unreadable file and the cure, such as "is empty; download it again".

    None if no known cause is recognised. Call it only for files that no reader could read: an old pickle,
    for example, is text as well.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return f"is empty; {_AGAIN}"
    text = _as_text(head)
    if text is not None:
        return _describe_text(text, path)
    return _cut_off(path) if head[8:9] == b"{" else None  # the start of a safetensors file


def describe_binary(path: Path) -> str:
    """Describe, like `describe_damage`, a pickle that ends early or has bytes that are no pickle opcodes."""
    with path.open("rb") as file:
        begins_as_pickle = file.read(1) == b"\x80"
    if begins_as_pickle:
        return _cut_off(path)
    return f"is not a weights file (.safetensors, .pth of torch.save, .pkl), or damaged; {_AGAIN}"


def _cut_off(path: Path) -> str:
    return f"is cut off or damaged ({path.stat().st_size} bytes); {_AGAIN}"


def _as_text(head: bytes) -> str | None:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # a character cut off at the end of the head is fine
        if error.start < len(head) - 3 or len(head) < _HEAD_BYTES:
            return None
        text = head[: error.start].decode("utf-8")
    return None if _CONTROL.search(text) else text


def _describe_text(text: str, path: Path) -> str:
    if text.startswith("version https://git-lfs"):
        return "is a text file (a Git LFS pointer), not the weights; run git lfs pull in its repository"
    if '"weight_map"' in text:
        return "lists the parts of a model of transformers; give the folder that it lies in"
    if _OPENVINO.match(text):
        return "is a model of OpenVINO, which is not read; give the checkpoint that it was made from"
    if _WEB_PAGE.match(text):
        return "is a web page, not weights; download the file that the page links to"
    first_line = text.strip().split("\n", 1)[0][:40]
    swapped = "; is it the configuration?" if path.suffix in (".yaml", ".yml", ".py", ".json") else ""
    return f"is a text file, not weights; it begins with {first_line!r}{swapped}"
