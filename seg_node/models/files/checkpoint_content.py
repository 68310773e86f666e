# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The content of a training script's checkpoint → the named tensors of its network."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from seg_node.models.files.caffe2 import convert_caffe2, is_caffe2
from seg_node.models.files.load_error import one_line
from seg_node.untrusted.printable import listed

logger = logging.getLogger(__name__)

# keys under which training scripts store the network's tensors, beside the optimizer's
_WRAPPERS = ("blobs", "model", "state_dict", "model_state_dict")
# entries beside them that are kept: mmdetection's, Detectron2's, rfdetr's
_DESCRIPTIONS = ("meta", "__author__", "args", "model_config")
_MAX_DEPTH = 4  # of mappings around the mapping of tensors
# wrapper modules of torch.compile, FSDP and activation checkpoints
_WRAPPER_MODULES = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_MAX_DESCRIPTION = 1_000_000  # values
MAX_TENSORS = 20_000  # ResNeXt-152 with a pyramid and heads: 1 000
_MAX_SHARED = 4  # times: tensors of one file may share memory under several names


def find_tensors(content: Any, path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """Return the network's tensors and their description.

    They are looked up under the usual keys, else in the only mapping whose tensors have names of modules.
    Caffe2 blobs get Detectron2's names.
    Raises ValueError that names the file and what it holds instead.
    """
    if isinstance(content, list | tuple) and any(isinstance(item, Mapping) for item in content):
        content = {str(place): item for place, item in enumerate(content)}
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path}: holds a {type(content).__name__}, not a mapping of names to tensors")
    found = _unwrap(content, path)
    described = {name: content[name] for name in _DESCRIPTIONS if name in content and found is not content}
    _check_size(described, path)
    tensors = _check_tensors(found, path)
    if is_caffe2(tensors):
        return convert_caffe2(tensors) or tensors, described
    return _without_wrappers(tensors, path), described


def _unwrap(content: Mapping[Any, Any], path: Path) -> Mapping[Any, Any]:
    for key in _WRAPPERS:
        if isinstance(content.get(key), Mapping):
            return _unwrap(content[key], path) if _is_wrapped(content[key]) else content[key]
    if not _is_wrapped(content):
        return content
    places = dict(_find_networks(content))
    if len(places) > 1:
        first = next(iter(places))
        keys = "".join(f"[{key!r}]" for key in first.split("/"))
        raise ValueError(
            f"{path}: holds the tensors of several networks ({listed(places)}); save only the "
            f"one you need: torch.save(torch.load(FILE){keys}, NEW)"
        )
    if not places:
        return content
    ((place, tensors),) = places.items()
    logger.info("%s: using the tensors under %s", path, one_line(place))
    return tensors


def _is_wrapped(content: Mapping[Any, Any]) -> bool:
    """Whether the mapping holds further mappings but no tensors of modules."""
    return not _has_tensors(content) and any(isinstance(value, Mapping) for value in content.values())


def _has_tensors(content: Mapping[Any, Any]) -> bool:
    """Whether the mapping holds tensors with names of modules, such as conv1.weight."""
    return any(
        isinstance(name, str) and "." in name and isinstance(value, Tensor) for name, value in content.items()
    )


def _find_networks(content: Mapping[Any, Any], place: str = "") -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield the path and the content of each mapping that holds a network's tensors."""
    if place.count("/") >= _MAX_DEPTH:
        return
    for key, value in content.items():
        if not isinstance(value, Mapping) or not isinstance(key, str) or key.startswith("optim"):
            continue
        here = f"{place}/{key}" if place else key
        if _has_tensors(value):
            yield here, value
        elif _is_wrapped(value):
            yield from _find_networks(value, here)


def _check_tensors(content: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """Validate the tensors; drop mmdetection's moving averages (ema_conv1_weight) and PyTorch's counter."""
    size = path.stat().st_size
    tensors = {}
    for name, value in content.items():
        if not isinstance(name, str):
            raise ValueError(f"{path}: {name!r} is not a name; tensors of a network have text as names")
        if (name.startswith("ema_") and "." not in name) or name == "n_averaged":
            continue
        if not isinstance(value, Tensor):
            raise ValueError(f"{path}: {name!r} is not a tensor; is this a checkpoint of a network?")
        if value.is_complex():
            raise ValueError(f"{path}: {name}: is {value.dtype}; the weights of a network are real numbers")
        if value.nbytes > size:
            raise ValueError(f"{path}: {name}: {value.nbytes} bytes in a file of {size}")
        tensors[name] = value
    claimed = sum(value.nbytes for value in tensors.values())
    if claimed > _MAX_SHARED * size:
        raise ValueError(f"{path}: its tensors claim {claimed} bytes in a file of {size}")
    if not 0 < len(tensors) <= MAX_TENSORS:
        raise ValueError(f"{path}: holds {len(tensors)} tensors, expected 1 to {MAX_TENSORS}")
    return tensors


def _check_size(content: Any, path: Path) -> None:
    """Refuse huge descriptions: a few containers that hold each other can stand for billions of values."""
    waiting, count = [content], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count > _MAX_DESCRIPTION:
            raise ValueError(
                f"{path}: the description of its tensors has more than {_MAX_DESCRIPTION} values"
            )
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend(value)


def _without_wrappers(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Strip the name parts added by DataParallel, torch.compile and other wrappers."""
    renamed = {
        _WRAPPER_MODULES.sub("", name).removeprefix("module."): value for name, value in tensors.items()
    }
    if len(renamed) < len(tensors):
        raise ValueError(f"{path}: names of tensors differ by module. or _orig_mod. alone; save one network")
    if any(_WRAPPER_MODULES.search(name) for name in tensors):
        logger.info("%s: removed the name parts that torch.compile or other wrappers added", path)
    return renamed
