"""Checkpoint files → named tensors → a network's parameters. Nothing in a file is executed."""

import contextlib
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from seg_node.models.caffe2_names import convert_caffe2, is_caffe2
from seg_node.models.damage import describe_binary, describe_damage
from seg_node.models.pickle_file import STAND_INS, RefusedError, read_pickle, without_stand_ins

# under which training scripts put the network's tensors, beside the optimizer's
_WRAPPERS = ("model", "state_dict", "model_state_dict")
# what is worth keeping of what lies beside them: mmdetection's, Detectron2's
_DESCRIPTIONS = ("meta", "__author__")
_TORCH_LEGACY = re.compile(
    rb"\x80.\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL
)  # its magic number, pickled


@dataclass(frozen=True)
class Checkpoint:
    """path: the file. tensors: by their name in it.

    metadata: the texts that a safetensors file may carry; of a .pth or .pkl what describes the tensors:
    `meta` as mmdetection and `__author__` as Detectron2 write it.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a .safetensors file, one written by torch.save, or a pickle of numpy arrays.

    Which of the two latter it is, is told by the content. Blobs of Caffe2 get Detectron2's names.
    Raises FileNotFoundError; ValueError for a file that holds no tensors or more than plain data.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    is_torch = zipfile.is_zipfile(path) or _TORCH_LEGACY.match(_head(path))
    try:
        content = _read_torch(path) if is_torch else read_pickle(path.read_bytes())
    except Exception as error:  # a damaged file can make either raise anything
        damage = _damage(path, error, bool(is_torch))
        if damage:
            raise ValueError(f"{path}: {damage}") from error
        kind = "PyTorch checkpoint" if is_torch else "pickle of weights"
        raise ValueError(
            f"{path}: not a plain {kind} ({_reason(error)}); "
            "save the tensors alone with torch.save(model.state_dict(), FILE)"
        ) from error
    return _describe(content, path)


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return Checkpoint(path, load_file(path), metadata)
    except safetensors.SafetensorError as error:
        damage = describe_damage(path)
        if damage:
            raise ValueError(f"{path}: {damage}") from error
        raise ValueError(f"{path}: not a safetensors file ({error})") from error


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(32)


def _read_torch(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > path.stat().st_size:  # torch.save does not compress
            raise ValueError(f"it claims to hold {claimed} bytes, more than the file")
    # torch 2.4 has no safe_globals: it refuses the files that would need them
    safe_globals = getattr(torch.serialization, "safe_globals", lambda _: contextlib.nullcontext())
    with safe_globals(list(STAND_INS.values())):
        return without_stand_ins(torch.load(path, map_location="cpu", weights_only=True))


def _damage(path: Path, error: Exception, is_torch: bool) -> str | None:
    """None for a file that is whole, but holds something else or asks for more than weights need."""
    if isinstance(error, RefusedError) or "GLOBAL " in str(error):
        return None
    is_whole_archive = zipfile.is_zipfile(path)
    if not is_torch or not (is_whole_archive or isinstance(error, pickle.UnpicklingError)):
        return describe_damage(path) or describe_binary(path)
    return None


def _reason(error: Exception) -> str:
    refused = re.search(r"GLOBAL (\S+)", str(error))  # torch's own text is long, and advises to run the file
    if refused:
        return f"it asks for {refused[1]}, which weights have no need of"
    return (str(error) or type(error).__name__).splitlines()[0]


def _describe(content: Any, path: Path) -> Checkpoint:
    metadata = {}
    for key in ("blobs", *_WRAPPERS):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            metadata = {name: content[name] for name in _DESCRIPTIONS if name in content}
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path}: holds a {type(content).__name__}, not a mapping of names to tensors")
    return Checkpoint(path, _find_tensors(content, path), metadata)


def _find_tensors(content: Mapping[Any, Any], path: Path) -> Mapping[str, Tensor]:
    """Without the moving averages that mmdetection may keep beside (ema_…)."""
    tensors = {name: value for name, value in content.items() if not str(name).startswith("ema_")}
    size = path.stat().st_size
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{path}: {name!r} is not a tensor; is this a checkpoint of a network?")
        if value.nbytes > size:
            raise ValueError(f"{path}: {name}: {value.nbytes} bytes in a file of {size}")
    if is_caffe2(tensors):
        return convert_caffe2(tensors)
    return {name.removeprefix("module."): value for name, value in tensors.items()}  # of DataParallel


def load_tensors(
    network: nn.Module, tensors: Mapping[str, Tensor], file_name: Callable[[str], str], path: Path
) -> None:
    """Copies the tensors, already renamed to the network's names, into the network.

    file_name: the network's name → the file's, for the messages.
    Raises ValueError that lists every tensor missing, left over or of another shape.
    """
    expected = network.state_dict()
    wrong = [
        f"{file_name(name)}: shape {tuple(tensors[name].shape)}, expected {tuple(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    wrong += [
        f"{file_name(name)}: missing, expected shape {tuple(value.shape)}"
        for name, value in expected.items()
        if name not in tensors and not name.endswith("num_batches_tracked")
    ]
    wrong += [f"{file_name(name)}: not part of this architecture" for name in tensors if name not in expected]
    if wrong:
        more = f" (and {len(wrong) - 5} more)" if len(wrong) > 5 else ""
        raise ValueError(f"{path}: {'; '.join(wrong[:5])}{more}")
    network.load_state_dict(tensors, strict=False)
