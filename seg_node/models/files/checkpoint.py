# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files → named tensors → a network's parameters. Nothing in a file is executed."""

import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from seg_node.models.files.checkpoint_content import MAX_TENSORS, find_tensors
from seg_node.models.files.diagnose_file import (
    describe_binary,
    describe_damage,
    describe_other_format,
    is_zip,
)
from seg_node.models.files.load_error import loading
from seg_node.models.files.pickle_file import read_pickle
from seg_node.models.files.pickle_machine import RefusedError
from seg_node.models.files.torch_file import LEGACY_HEAD, read_torch_file
from seg_node.untrusted.descriptor import plain_name

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a weights file.

    path: the file. tensors: keyed by their names in the file.
    metadata: the texts of a safetensors file; for .pth and .pkl the entries that describe the tensors:
    mmdetection's `meta`, Detectron2's `__author__`, rfdetr's `args` and `model_config`.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a safetensors file, a file written by torch.save, or a pickle of numpy arrays.

    The format is recognised from the content. Caffe2 blobs get Detectron2's names.
    Raises LoadError for a file that is missing, holds no tensors, or holds more than plain data.
    """
    with loading(path):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such weights file")
        with path.open("rb") as file:
            head = file.read(32)
        if path.suffix == ".safetensors" or head[8:9] == b"{":
            return _read_safetensors(path)
        other = describe_other_format(path)
        if other:
            raise ValueError(f"{path}: {other}")
        return Checkpoint(path, *find_tensors(_read_content(path, head), path))


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with plain_name(path) as name:
            with safetensors.safe_open(name, framework="pt") as file:
                metadata, count = file.metadata() or {}, len(file.keys())
            if not 0 < count <= MAX_TENSORS:
                raise ValueError(f"{path}: holds {count} tensors, expected 1 to {MAX_TENSORS}")
            return Checkpoint(path, load_file(name), metadata)
    except safetensors.SafetensorError as error:
        damage = describe_damage(path)
        if damage:
            raise ValueError(f"{path}: {damage}") from error
        raise ValueError(f"{path}: not a safetensors file ({error})") from error


def _read_content(path: Path, head: bytes) -> Any:
    is_torch = is_zip(path) or bool(LEGACY_HEAD.match(head))
    try:
        return read_torch_file(path) if is_torch else read_pickle(path.read_bytes())
    except Exception as error:  # a damaged file can make either reader raise anything
        damage = _damage(path, error, is_torch)
        if damage:
            raise ValueError(f"{path}: {damage}") from error
        kind = "PyTorch checkpoint" if is_torch else "pickle of weights"
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if isinstance(error, RefusedError) and "asks for ultralytics." in reason:
            raise ValueError(
                f"{path}: is a YOLO model of Ultralytics, pickled with its program, which is not run; "
                "export it there: yolo export model=FILE.pt format=onnx"
            ) from error
        cure = "save the tensors alone with torch.save(model.state_dict(), FILE)"
        if isinstance(error, zipfile.BadZipFile | zlib.error):  # a checksum does not match
            cure = "download it again"
        raise ValueError(f"{path}: not a plain {kind} ({reason}); {cure}") from error


def _damage(path: Path, error: Exception, is_torch: bool) -> str | None:
    """Describe damage; None for an intact file that holds something else or needs more than weights do."""
    if isinstance(error, RefusedError) or is_zip(path):
        return None
    return describe_damage(path) or describe_binary(path)


def outline(build: Callable[[], Network]) -> Network:
    """Build the network on the device "meta", without memory for its weights."""
    with torch.device("meta"):
        return build()


def load_network(
    build: Callable[[], Network],
    outlined: Network,
    tensors: Mapping[str, Tensor],
    file_name: Callable[[str], str],
    path: Path,
) -> Network:
    """Build the network and load the tensors, which already have its names.

    outlined: its `outline`; tensors that do not fit it, or each other, are refused before a network of
    their sizes takes memory. file_name: maps the network's names to the file's, for messages.
    Raises ValueError that lists the tensors that are missing, left over, or of another shape or kind.
    """
    expected = outlined.state_dict()
    wrong = [problem for name in expected for problem in _compare(name, expected[name], tensors.get(name))]
    wrong += [(name, "not part of this architecture") for name in tensors if name not in expected]
    if wrong:
        named = "; ".join(f"{file_name(name)}: {problem}" for name, problem in wrong[:5])
        raise ValueError(f"{path}: {named}{f' (and {len(wrong) - 5} more)' if len(wrong) > 5 else ''}")
    network = build()
    network.load_state_dict(tensors, strict=False)
    return network


def _compare(name: str, expected: Tensor, found: Tensor | None) -> list[tuple[str, str]]:
    """Return the problems of one tensor, each with its name."""
    shape = tuple(expected.shape)
    if found is None:
        if name.endswith("num_batches_tracked"):
            return []
        return [(name, f"missing, expected shape {shape}")]
    if found.shape != expected.shape:
        return [(name, f"shape {tuple(found.shape)}, expected {shape}")]
    if expected.is_floating_point() and not found.is_floating_point():
        return [(name, f"holds {found.dtype}, expected floats; is it quantised?")]
    return []
