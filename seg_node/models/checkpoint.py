"""Checkpoint files → named tensors → a network's parameters. Nothing in a file is executed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

# under which training scripts put the network's tensors, beside the optimizer's
_WRAPPERS = ("model", "state_dict", "model_state_dict")


@dataclass(frozen=True)
class Checkpoint:
    """path: the file. tensors: by their name in it. metadata: texts that a safetensors file may carry."""

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a .safetensors file or one written by torch.save.

    Raises FileNotFoundError; ValueError for a file that holds no tensors or more than plain data.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make torch raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path}: not a plain PyTorch checkpoint ({reason}); "
            "save the tensors alone with torch.save(model.state_dict(), FILE)"
        ) from error
    return Checkpoint(path, _find_tensors(content, path))


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return Checkpoint(path, load_file(path), metadata)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error


def _find_tensors(content: Any, path: Path) -> Mapping[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path}: holds a {type(content).__name__}, not a mapping of names to tensors")
    strange = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise ValueError(f"{path}: {strange[0]!r} is not a tensor; is this a checkpoint of a network?")
    return content


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
